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

// refusingBank answers every order and every beat with an error.
type refusingBank struct {
	ratelimit.Bank
	err error
}

func (b *refusingBank) Trade(_ context.Context, orders ...*ratelimit.Order) {
	for _, o := range orders {
		o.Err = b.err
	}
}

func (b *refusingBank) Beat(context.Context, string) (int, error) {
	return 0, b.err
}

// refusal is what a server has answered.
type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) RedisError()     {}

// logged is what the log says when calls are made for a minute and a half, once a second.
func logged(t *testing.T, err error, call func(b *tellingBank)) string {
	t.Helper()
	var text strings.Builder
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		withoutTime := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
		b := &tellingBank{Bank: &refusingBank{err: err}, log: log}
		for range 90 {
			call(b)
			time.Sleep(time.Second)
		}
	})
	return text.String()
}

func TestWhatRedisObjectsToIsLogged(t *testing.T) {
	const (
		line  = `level=ERROR msg="Redis refuses what limits need: this replica grants its share of them alone" error="`
		right = "limits: Redis has not carried out an order: NOPERM this user has no permissions to run the 'pexpire' command"
		beat  = "limits: the replicas cannot be counted in Redis: NOPERM this user has no permissions to run the 'zadd' command"
		bad   = "limits: no bank may be asked such a thing: the order is of nobody"
		count = `" count=`
	)
	noPexpire := fmt.Errorf("limits: Redis has not carried out an order: %w", refusal("NOPERM this user has no permissions to run the 'pexpire' command"))
	noZadd := fmt.Errorf("limits: the replicas cannot be counted in Redis: %w", refusal("NOPERM this user has no permissions to run the 'zadd' command"))
	trades := func(b *tellingBank) { b.Trade(t.Context(), &ratelimit.Order{}, &ratelimit.Order{}) }
	beats := func(b *tellingBank) {
		if live, err := b.Beat(t.Context(), "a"); live != 0 || err == nil {
			t.Errorf("a beat that is refused: %d live, and the error is %v", live, err)
		}
	}
	both := func(b *tellingBank) { trades(b); beats(b) }
	for _, c := range []struct {
		err  error
		call func(*tellingBank)
		want string
	}{
		{noPexpire, trades, line + right + count + "1\n" + line + right + count + "120\n"},
		{noZadd, beats, line + beat + count + "1\n" + line + beat + count + "60\n"},
		{noPexpire, both, line + right + count + "1\n" + line + right + count + "180\n"},
		{fmt.Errorf("%w: the order is of nobody", ratelimit.ErrBadOrder), trades, line + bad + count + "1\n" + line + bad + count + "120\n"},
		{store.ErrRedisDown, both, ""},
		{context.DeadlineExceeded, both, ""},
		{errors.New("something else"), both, ""},
	} {
		if got := logged(t, c.err, c.call); got != c.want {
			t.Errorf("%v:\ngot  %s\nwant %s", c.err, got, c.want)
		}
	}
}
