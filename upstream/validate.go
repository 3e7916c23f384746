package upstream

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollgate/telemetry"
)

const (
	// maxCandidates is what a Route can keep in one machine word.
	maxCandidates = 64
	// maxWeight keeps every sum of shares far from overflow.
	maxWeight = 1_000_000
	// maxAttempts keeps one request from hammering a whole pool.
	maxAttempts = 10
	// maxTimeout keeps sums of time limits far from overflow.
	maxTimeout = 24 * time.Hour
)

// Validate returns one joined error with a line for each bad option. No message
// shows a credential, nor a part of a URL that may hold one.
func (c Config) Validate() error {
	var p problems
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		if !isName(name, 64) {
			p.add("providers", "%q is not a provider name: %s", name, nameRule(64))
			continue
		}
		c.Providers[name].validate(p.at("providers." + name))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Models)) {
		if !isName(name, 128) {
			p.add("models", "%q is not a model name: %s", name, nameRule(128))
			continue
		}
		c.validateModel(name, p.at("models."+name))
	}
	return errors.Join(p...)
}

// problems collects what is wrong with a configuration.
type problems []error

func (p *problems) add(option, format string, args ...any) {
	*p = append(*p, fmt.Errorf("%s: %w", option, fmt.Errorf(format, args...)))
}

// at returns where to report what is wrong below an option.
func (p *problems) at(option string) section { return section{p, option} }

// section is a part of the configuration under validation.
type section struct {
	problems *problems
	option   string
}

func (s section) add(option, format string, args ...any) {
	s.problems.add(s.option+"."+option, format, args...)
}

func (s section) at(option string) section { return section{s.problems, s.option + "." + option} }

// within reports a number outside [0, most].
func (s section) within(option string, got, most int) {
	if got < 0 || got > most {
		s.add(option, "must be between 0 and %d, got %d", most, got)
	}
}

func (p ProviderConfig) validate(s section) {
	p.validateContract(s)
	if _, known := UnsupportedByName(orDefault(p.Unsupported, UnsupportedSkip.String())); !known {
		s.add("unsupported", "must be skip or drop, got %q", p.Unsupported)
	}
	p.validateDrain(s)
	if len(p.Endpoints) == 0 {
		s.add("endpoints", "must list at least one endpoint")
	}
	seen := make(map[credential]string)
	for i, e := range p.Endpoints {
		e.validate(s.at(fmt.Sprintf("endpoints[%d]", i)), seen)
	}
}

func (p ProviderConfig) validateDrain(s section) {
	switch p.OnDisconnect {
	case "", onDisconnectCancel, onDisconnectDrain:
	default:
		s.add("on_disconnect", "must be cancel or drain, got %q", p.OnDisconnect)
	}
	if p.DrainTime < 0 || p.DrainTime > maxTimeout {
		s.add("drain_time", "must be between 0s and %s, got %s", maxTimeout, p.DrainTime)
	}
	const mostTokens = 10_000_000
	s.within("drain_tokens", p.DrainTokens, mostTokens)
}

// credential is what makes an endpoint's key one of its kind.
type credential struct {
	url string
	key telemetry.Secret
}

func (e EndpointConfig) validate(s section, seen map[credential]string) {
	base, err := parseBaseURL(e.URL)
	if err != nil {
		s.add("url", "%w", err)
	}
	s.within("weight", e.Weight, maxWeight)
	s.within("max_concurrent", e.MaxConcurrent, maxWeight)
	for i, key := range e.APIKeys {
		option := fmt.Sprintf("api_keys[%d]", i)
		switch {
		case key == "" || base == nil:
			continue
		case !isHeaderSafe(key.Reveal()):
			s.add(option, "must be printable ASCII without spaces; does its file end with a line break?")
		}
		id := credential{base.String(), key}
		if first, twice := seen[id]; twice {
			s.add(option, "is the same key for the same url as %s", first)
			continue
		}
		seen[id] = s.option + "." + option
	}
}

func (c Config) validateModel(name string, s section) {
	m := c.Models[name]
	if len(m.Targets) == 0 {
		s.add("targets", "must list at least one target")
	}
	s.within("max_attempts", m.MaxAttempts, maxAttempts)
	if _, known := newPolicy(m.Policy); !known {
		s.add("policy", "must be p2c, weighted or least_pending, got %q", m.Policy)
	}
	if _, known := AffinityByName(m.Affinity); !known {
		s.add("affinity", "must be none, prefix or key, got %q", m.Affinity)
	}
	m.Timeouts.validate(s.at("timeouts"))
	candidates := 0
	seen := make(map[[2]string]int)
	for i, t := range m.Targets {
		below := s.at(fmt.Sprintf("targets[%d]", i))
		below.within("weight", t.Weight, maxWeight)
		below.within("tier", t.Tier, maxWeight)
		provider, known := c.Providers[t.Provider]
		if !known {
			below.add("provider", "%q is not one of providers", t.Provider)
		}
		if t.Model != "" && !isName(t.Model, 256) {
			below.add("model", "%q is not a model name: %s", t.Model, nameRule(256))
		}
		id := [2]string{t.Provider, orDefault(t.Model, name)}
		if first, twice := seen[id]; twice {
			s.add(fmt.Sprintf("targets[%d]", i), "is the same provider and model as targets[%d]; use weight instead", first)
		} else {
			seen[id] = i
		}
		candidates += provider.candidates()
	}
	if candidates > maxCandidates {
		s.add("targets", "make %d candidates (endpoints times keys); at most %d fit into one model", candidates, maxCandidates)
	}
}

// candidates is how many candidates a target of this provider makes. An
// endpoint that is off counts as well: it stays visible.
func (p ProviderConfig) candidates() int {
	n := 0
	for _, e := range p.Endpoints {
		n += max(1, len(e.keys()))
	}
	return n
}

// keys returns the credentials that are set.
func (e EndpointConfig) keys() []telemetry.Secret {
	return slices.DeleteFunc(slices.Clone(e.APIKeys), func(s telemetry.Secret) bool { return s == "" })
}

func (t Timeouts) validate(s section) {
	for _, d := range [...]struct {
		option string
		value  time.Duration
	}{
		{"connect", t.Connect},
		{"first_token", t.FirstToken},
		{"answer", t.Answer},
		{"idle", t.Idle},
		{"total", t.Total},
	} {
		if d.value < 0 || d.value > maxTimeout {
			s.add(d.option, "must be a duration between 0s and 24h such as 30s, got %s", d.value)
		}
	}
}

// The ways in which a base URL can be wrong. None shows the URL where it may
// hold a secret.
var (
	errURLMissing  = errors.New("must be an address such as https://api.example.com/v1")
	errURLHost     = errors.New("must name its host by letters, digits and any of . - _ (international names in their xn-- form), or by an IP address (IPv6 in brackets)")
	errURLUserinfo = errors.New("must not contain a user name or password; credentials go into api_keys")
	errURLQuery    = errors.New("must not have a query or a fragment; credentials go into api_keys")
	errURLPath     = errors.New("must be the base address, without /chat/completions at its end")
)

// parseBaseURL reads an endpoint's address. A slash at its end is dropped.
func parseBaseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil, u.Hostname() == "" && u.User == nil, !isPort(u.Port()):
		return nil, errURLMissing
	case u.User != nil:
		return nil, errURLUserinfo
	case u.RawQuery != "", u.ForceQuery, strings.Contains(raw, "#"):
		return nil, errURLQuery
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("must begin with http:// or https://, got %q", u.Scheme)
	case !isHost(u):
		return nil, errURLHost
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	if strings.HasSuffix(u.Path, "/chat/completions") {
		return nil, errURLPath
	}
	return u, nil
}

// isHost reports whether the host of u reads the same wherever it is shown and
// looked up. The parser of net/url lets a name hold nearly any byte in percent form.
func isHost(u *url.URL) bool {
	if !strings.HasPrefix(u.Host, "[") {
		return isHostName(u.Hostname())
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.Is6() && (ip.Zone() == "" || isHostName(ip.Zone()))
}

func isHostName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return s != ""
}

// isPort reports whether port is absent or one that can be dialled.
func isPort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// isName reports whether s can stand in logs, headers, metrics and lists
// without quoting. A "*" would read as a pattern and a "," as two names.
func isName(s string, longest int) bool {
	for i, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && strings.IndexByte("._-:/@+", c) >= 0:
		default:
			return false
		}
	}
	return s != "" && len(s) <= longest
}

func nameRule(longest int) string {
	return fmt.Sprintf("use 1 to %d letters, digits and any of . _ - : / @ +, beginning with a letter or a digit", longest)
}

// isHeaderSafe reports whether s can be sent as a bearer token.
func isHeaderSafe(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}
