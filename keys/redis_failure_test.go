package keys

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"tollgate/store"
)

// A client that asked Sentinels in vain may join their "nothing here" with its own failure. That is an outage, not an unknown key.
func TestRedisStoreTellsAnOutageFromAnAnswer(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "sentinels"})
	t.Cleanup(func() { _ = client.Close() })
	client.AddHook(failing{func() error { return errors.Join(redis.Nil, errDown) }})
	s := NewRedisStore(client)
	_, byDigest := s.ByDigest(t.Context(), contractSecret(1).Digest, netip.Addr{})
	_, byID := s.ByID(t.Context(), contractRecord(1).Key.ID)
	for _, err := range []error{byDigest, byID} {
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrNotFound) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
	}
}

// failing is a hook that answers a command with an error, where it has one.
type failing struct{ next func() error }

func (f failing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f failing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (f failing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := f.next(); err != nil {
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

// A connection that turns out to be dead costs a look-up nothing but a second try; what is not known to be one is not repeated.
func TestLookUpIsTriedAgainOnADeadConnection(t *testing.T) {
	f := func(failure error, failures, wantCalls int, want error) {
		t.Helper()
		mini := miniredis.RunT(t)
		client := redis.NewClient(&redis.Options{Addr: mini.Addr(), DisableIdentity: true, MaxRetries: -1})
		t.Cleanup(func() { _ = client.Close() })
		s := NewRedisStore(client)
		mustInsert(t, s, contractRecord(1))
		if _, err := s.ByDigest(t.Context(), contractSecret(1).Digest, netip.Addr{}); err != nil { // the script is known from now on
			t.Fatal(err)
		}
		calls := 0
		client.AddHook(failing{func() error {
			if calls++; calls <= failures {
				return failure
			}
			return nil
		}})
		_, err := s.ByDigest(t.Context(), contractSecret(1).Digest, netip.Addr{})
		if !errors.Is(err, want) || calls != wantCalls {
			t.Errorf("%v, %d times: got %v after %d calls, want %v after %d", failure, failures, err, calls, want, wantCalls)
		}
	}
	f(io.EOF, 1, 2, nil)
	f(syscall.ECONNRESET, 1, 2, nil)
	f(io.EOF, 2, 2, ErrUnavailable)
	f(os.ErrDeadlineExceeded, 1, 1, ErrUnavailable)
	f(store.ErrRedisDown, 1, 1, ErrUnavailable)
}
