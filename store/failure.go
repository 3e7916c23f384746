package store

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// ErrRedisDown says that Redis did not do what it was asked because it cannot be
// reached, does not answer in time, or answers that it cannot serve. The call may
// have been made or refused by the circuit breaker; after a time-out it may even
// have been carried out. Answers about the command itself (redis.Nil, WRONGTYPE,
// a script's error) are never it, nor is redis.ErrPoolTimeout: so many calls are
// under way that none of the client's connections came free, whatever the server does.
var ErrRedisDown = errors.New("redis is down")

// errExcluded says that an error tells nothing about the server.
var errExcluded = errors.New("says nothing about the server")

func excluded(err error) bool { return errors.Is(err, errExcluded) }

// downError is a failure of the server. It does not unwrap to its cause: the
// client joins what Sentinels answered into one error, so that "no Sentinel knows
// this master" would be redis.Nil to errors.Is, and an outage a missing key.
type downError struct{ cause error }

// Error implements error.
func (e *downError) Error() string { return ErrRedisDown.Error() + ": " + e.cause.Error() }

// Unwrap makes it ErrRedisDown.
func (e *downError) Unwrap() error { return ErrRedisDown }

// judge says what a call's error means for the server: nil if it works,
// errExcluded if that remains unknown, and otherwise an error that wraps
// ErrRedisDown.
func judge(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrRedisDown):
		return err // it was judged before
	case errors.Is(err, context.Canceled), errors.Is(err, redis.ErrClosed), errors.Is(err, redis.ErrPoolTimeout):
		return errExcluded
	}
	// Not errors.As: an answer inside another error is one to the client's own questions, such as a Sentinel's.
	if reply, ok := err.(redis.Error); ok && !unavailable(reply.Error()) { //nolint:errorlint // see above
		return nil
	}
	return &downError{err}
}

// ConnectionLost reports whether a call failed because its connection turned out
// to be dead. Nobody knows whether the call was carried out: one that changes
// nothing may be made again at once, on another connection.
func ConnectionLost(err error) bool {
	if down := (*downError)(nil); errors.As(err, &down) {
		err = down.cause
	}
	return hungUp(err)
}

// failureOr is err as callers see it: wrapping ErrRedisDown where it is the server's failure, and otherwise as it is.
func failureOr(err error) error {
	if failure := judge(err); failure != nil && !excluded(failure) {
		return failure
	}
	return err
}

func timedOut(err error) bool {
	var netErr net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout()
}

// Answers of a server that would serve no such client at all, beside those with a word of their own.
const (
	clusterDisabled = "ERR This instance has cluster support disabled" // to a Cluster's client
	tooManyClients  = "ERR max number of clients reached"
	clusterRight    = "'cluster" // before Redis 7 it is not said which of its subcommands
)

// unavailable reports whether a server's answer is not about the command, but that it serves nobody, or not us.
func unavailable(reply string) bool {
	switch word, _, _ := strings.Cut(reply, " "); word {
	case "LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "NOREPLICAS", "NOAUTH", "WRONGPASS":
		return true
	case "NOPERM": // a user who may not even set up a connection, or ask which node has a slot, as every call must
		return strings.Contains(reply, "'client") || strings.Contains(reply, "'select") || strings.Contains(reply, clusterRight)
	case "ERR":
		return strings.HasPrefix(reply, clusterDisabled) || strings.HasPrefix(reply, tooManyClients)
	}
	return false
}

// advise is an error's text with what to do about it.
func advise(err error) string {
	cause := err
	if down := (*downError)(nil); errors.As(err, &down) {
		cause = down.cause
	}
	return cause.Error() + "; " + cure(cause)
}

func cure(err error) string {
	var verify *tls.CertificateVerificationError
	text := err.Error()
	switch sentinels := strings.Contains(text, "all sentinels"); {
	case errors.As(err, &verify):
		return "check store.redis.tls_ca and that the certificate names the address"
	case sentinels && strings.Contains(text, redis.Nil.Error()):
		return "the Sentinels do not know store.redis.master_name: use the name of their \"sentinel monitor\""
	case sentinels && redis.IsAuthError(err):
		return "check store.redis.sentinel_username and sentinel_password"
	case sentinels:
		return "check that store.redis.addresses are Sentinels and that they run"
	case redis.IsAuthError(err):
		return "check store.redis.username and password"
	case redis.IsPermissionError(err) && strings.Contains(text, clusterRight):
		return "give the user of store.redis.username the right +cluster|slots"
	case refusedRights(err):
		return "give the user of store.redis.username the rights ~tollgate:* &tollgate:* " +
			"+@connection +@hash +@sortedset +eval +evalsha +get +set +del +pexpire +time +publish +subscribe +info, and +wait behind Sentinels"
	case strings.HasPrefix(text, clusterDisabled):
		return "give one address and no store.redis.cluster, or master_name where the addresses are Sentinels"
	case redis.IsReadOnlyError(err):
		return "the server is a replica: give the master's address, or the Sentinels' with master_name"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "the server hung up: where it speaks TLS, set store.redis.tls: true"
	}
	return "check that Redis runs, that store.redis.addresses can be reached from here, and that store.redis.tls fits the port"
}
