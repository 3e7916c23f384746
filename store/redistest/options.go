package redistest

import (
	"fmt"
	"strings"
)

// Option changes how servers are started. It holds for every server of a set.
type Option func(*options)

type options struct {
	user, password   string
	sentinelPassword string
	tls              bool
	appendOnly       bool
	replicas         int
	directives       []string
}

// WithPassword makes the default user log in.
func WithPassword(password string) Option {
	return func(o *options) { o.password = password }
}

// WithUser makes an ACL user with every right, and takes every right from the default user.
func WithUser(name, password string) Option {
	return func(o *options) { o.user, o.password = name, password }
}

// WithSentinelPassword makes whoever asks a Sentinel log in.
func WithSentinelPassword(password string) Option {
	return func(o *options) { o.sentinelPassword = password }
}

// WithTLS encrypts every connection. The certificates are signed by an authority
// made for the call (see CAFile); there is no port without TLS.
func WithTLS() Option {
	return func(o *options) { o.tls = true }
}

// WithAppendOnly writes every change to disk before it is answered, so that
// Restart finds it, also after Kill. Without it a server forgets all when it ends.
func WithAppendOnly() Option {
	return func(o *options) { o.appendOnly = true }
}

// WithConfig adds lines of redis.conf, such as "maxmemory-policy allkeys-lru".
func WithConfig(directives ...string) Option {
	return func(o *options) { o.directives = append(o.directives, directives...) }
}

// WithReplicas gives the master of a SentinelSet so many replicas, in place of one.
func WithReplicas(count int) Option {
	return func(o *options) { o.replicas = count }
}

func optionsOf(list []Option) options {
	var o options
	for _, apply := range list {
		apply(&o)
	}
	return o
}

// dataDirectives is redis.conf for a server that keeps data.
func (o options) dataDirectives() []string {
	lines := []string{`save ""`, "repl-diskless-sync-delay 0"}
	if o.appendOnly {
		lines = append(lines, "appendonly yes", "appendfsync always")
	}
	switch {
	case o.user != "":
		lines = append(lines, "user default off", fmt.Sprintf("user %s on >%s ~* &* +@all", o.user, o.password),
			"masteruser "+o.user, "masterauth "+o.password)
	case o.password != "":
		lines = append(lines, "requirepass "+o.password, "masterauth "+o.password)
	}
	return append(lines, o.directives...)
}

// sentinelDirectives is redis.conf for a Sentinel that watches master.
func (o options) sentinelDirectives(master *Server, quorum int) []string {
	host, port, _ := strings.Cut(master.address, ":")
	lines := []string{fmt.Sprintf("sentinel monitor %s %s %s %d", MasterName, host, port, quorum)}
	set := func(option, value string) {
		if value != "" {
			lines = append(lines, fmt.Sprintf("sentinel %s %s %s", option, MasterName, value))
		}
	}
	for option, value := range calm().options() {
		set(option, value)
	}
	set("auth-user", o.user)
	set("auth-pass", o.password)
	if o.sentinelPassword != "" {
		lines = append(lines, "requirepass "+o.sentinelPassword, "sentinel sentinel-pass "+o.sentinelPassword)
	}
	return lines
}
