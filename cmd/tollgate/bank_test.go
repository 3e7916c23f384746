package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/ratelimit"
	"tollgate/store"
)

// refusingBank answers every order with an error.
type refusingBank struct {
	ratelimit.Bank
	err error
}

func (b *refusingBank) Trade(_ context.Context, orders ...*ratelimit.Order) {
	for _, o := range orders {
		o.Err = fmt.Errorf("limits: Redis has not answered an order: %w", b.err)
	}
}

// refusal is what a server has answered.
type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) RedisError()     {}

func TestWhatRedisObjectsToIsLogged(t *testing.T) {
	f := func(err error, want ...string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			var text strings.Builder
			withoutTime := func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}
			log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
			b := &tellingBank{Bank: &refusingBank{err: err}, log: log}
			for range 90 { // one a second
				b.Trade(t.Context(), &ratelimit.Order{}, &ratelimit.Order{})
				time.Sleep(time.Second)
			}
			if got := text.String(); got != strings.Join(want, "") {
				t.Errorf("%v:\ngot  %s\nwant %s", err, got, want)
			}
		})
	}
	const line = `level=ERROR msg="Redis refuses what limits need: this replica grants its share of them alone" ` +
		`error="limits: Redis has not answered an order: NOPERM this user has no permissions to run the 'pexpire' command" count=`
	f(refusal("NOPERM this user has no permissions to run the 'pexpire' command"), line+"1\n", line+"120\n")
	f(store.ErrRedisDown)
	f(context.DeadlineExceeded)
	f(errors.New("the order names no tenant"))
}
