package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tollgate/store/redistest"
)

// TestKeyFlood shows one replica a great many keys that do not exist, all from one
// address: Redis hardly hears of them, the replica's memory does not grow, clients
// with known keys notice nothing, and a valid key that the replica has never met is
// let in from the very same address in the midst of it all. All refusals are the same.
func TestKeyFlood(t *testing.T) {
	alone(t)
	keys, connections, pace, warm := 15_000, 100, 1_500, 500
	if proving() {
		keys, connections, pace, warm = 1_000_000, 400, 3_000, 60_000
	}
	three := newTrio(t, redistest.Start(t), measured(t, environment{}))
	load := three.traffic(t, 3, 20*time.Millisecond)
	mistyped := three.operators[0].create(t, `"name":"mistyped"`)
	flood := &keyFlood{address: strings.TrimPrefix(three.replicas[1].url, "http://"), real: mistyped.Secret}
	flood.run(t, warm, connections, pace) // what a replica needs for so many requests a second it needs once, whatever they are
	calm := time.Now()
	time.Sleep(max(time.Second, time.Duration(keys/100_000)*time.Second))
	began := time.Now()
	before, asked, ran := three.inUse(t), three.calls(t, "hget", "hmget", "hexists"), three.calls(t, "evalsha", "eval")

	three.replicas[1].stderr.deaf.Store(true) // a line for each key would be the test's own burden
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		flood.run(t, keys, connections, pace)
	}()
	half := time.After(time.Duration(keys/pace) * time.Second / 2)
	select {
	case <-half:
	case <-ended:
		t.Error("the flood was over too soon")
	}
	for _, key := range three.strangers {
		if r := three.told(t, 1, key.Secret); r.status != 200 {
			t.Errorf("a valid key that the replica has never met is answered %s in the flood", r)
		}
	}
	young := three.operators[0].create(t, `"name":"young"`)
	until(t, "a new key to be let in amid the flood", patience, func() bool { return three.enter(t, 1, young.Secret).status == 200 })
	<-ended
	over := time.Now()
	asked, ran = three.calls(t, "hget", "hmget", "hexists")-asked, three.calls(t, "evalsha", "eval")-ran
	three.replicas[1].stderr.deaf.Store(false)
	time.Sleep(over.Sub(began) / 20) // what was in use a moment ago is not what the flood has left behind
	after := three.inUse(t)
	quiet, loud := load.between(calm, began), load.between(began, over)
	flood.wrong.fail(t)
	if proving() && flood.unsure*10_000 > keys { // beside other tests Redis may be late more often
		t.Errorf("%d of %d keys were answered 503 at first, want less than one in 10,000", flood.unsure, keys)
	}
	requests := load.end(t)
	t.Logf("%d keys in %s, of which %d were answered 503 at first: Redis looked into a hash %d times, and ran %d scripts; memory %s before, %s after; %d requests of known keys, p99 %s before and %s meanwhile",
		keys, over.Sub(began).Round(time.Millisecond), flood.unsure, asked, ran, before, after, requests, quiet.quantile(0.99), loud.quantile(0.99))
	// A look-up of a key looks into a hash; the question what has changed does not while nothing has.
	if asked*100 >= keys {
		t.Errorf("%d keys that do not exist cost %d look-ups in Redis, want less than 1 %%", keys, asked)
	}
	if !proving() {
		return
	}
	if grown := after - before; grown >= 20*mebibyte {
		t.Errorf("the replica has grown from %s to %s, want less than 20 MiB", before, after)
	}
	if most := 2*quiet.quantile(0.99) + 5*time.Millisecond; loud.quantile(0.99) > most {
		t.Errorf("known keys wait %s at the 99th percentile, want %s at most", loud.quantile(0.99), most)
	}
}

// calls is how often Redis has run these commands, in scripts or not.
func (three *trio) calls(t *testing.T, commands ...string) (calls int) {
	t.Helper()
	info, err := three.redis.Client(t).Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(info) {
		command, figures, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !slices.Contains(commands, command) {
			continue
		}
		count, _, _ := strings.Cut(figures, ",")
		n, err := strconv.Atoi(count)
		if err != nil {
			t.Errorf("%q: %v", line, err)
		}
		calls += n
	}
	return calls
}

// footprint is the memory that the second replica has taken for itself, in bytes:
// without the pages of files, which are its ledger's, and grow with what known keys use.
type footprint int64

func (f footprint) String() string { return fmt.Sprintf("%.1f MiB", float64(f)/mebibyte) }

func (three *trio) inUse(t *testing.T) footprint {
	t.Helper()
	m, err := three.replicas[1].memory()
	if err != nil {
		t.Fatal(err)
	}
	return footprint(m.anonymous)
}

// keyFlood is somebody who tries keys.
type keyFlood struct {
	address, real string
	wrong         complaints

	mu      sync.Mutex
	refusal []byte // what every one of them must be answered
	unsure  int    // those answered at first that nobody knows: Redis was late, on a machine that has much to do
}

// run tries so many keys, on so many connections, at about so many a second at most.
func (f *keyFlood) run(t *testing.T, keys, connections, pace int) {
	var trying sync.WaitGroup
	ctx := t.Context()
	for seed := range uint64(connections) {
		trying.Go(func() {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", f.address)
			if err != nil {
				f.wrong.add("%v", err)
				return
			}
			defer conn.Close()
			random, in := rand.New(rand.NewPCG(17+uint64(keys), seed)), bufio.NewReaderSize(conn, 1<<10)
			each := time.Second * time.Duration(connections) / time.Duration(pace)
			next := time.Now().Add(rand.N(each))
			for tried := range keys / connections {
				time.Sleep(time.Until(next))
				next = next.Add(each)
				if err := f.insist(conn, in, f.invent(random)); err != nil {
					f.wrong.add("after %d keys: %v", tried, err)
					return
				}
			}
		})
	}
	trying.Wait()
}

// insist tries a key until it is answered, as a 503 with Retry-After asks for.
func (f *keyFlood) insist(conn net.Conn, in *bufio.Reader, secret string) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		decided, err := f.try(conn, in, secret)
		switch {
		case decided || err != nil:
			return err
		case time.Now().After(deadline):
			return fmt.Errorf("%q is answered 503 all the time", secret)
		}
	}
}

// try sends a request with this key, and looks at what it is answered: decided is false where that is 503.
func (f *keyFlood) try(conn net.Conn, in *bufio.Reader, secret string) (decided bool, err error) {
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, request("GET /v1/models HTTP/1.1", []string{bearer(secret)}, "")); err != nil {
		return false, err
	}
	answer, err := readRefusal(in)
	if err != nil {
		return false, fmt.Errorf("the answer to %q: %w", secret, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if bytes.HasPrefix(answer, []byte("HTTP/1.1 503 ")) && bytes.Contains(answer, []byte(`"key_store_unavailable"`)) {
		f.unsure++
		return false, nil
	}
	if f.refusal == nil {
		f.refusal = answer
	}
	if !bytes.Equal(answer, f.refusal) || !bytes.HasPrefix(answer, []byte("HTTP/1.1 401 ")) {
		f.wrong.add("%q is answered\n%s\nand another key\n%s", secret, answer, f.refusal)
	}
	return true, nil
}

// readRefusal reads one answer, without the lines that are its own.
func readRefusal(in *bufio.Reader) (answer []byte, err error) {
	length := 0
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), ": ")
		switch strings.ToLower(name) {
		case "date", "x-request-id":
			continue
		case "content-length":
			if length, err = strconv.Atoi(value); err != nil {
				return nil, err
			}
		}
		if answer = append(answer, line...); name == "" {
			break
		}
	}
	body := make([]byte, length)
	_, err = io.ReadFull(in, body)
	return append(answer, body...), err
}

// invent makes a key up, of some kind that somebody may try.
func (f *keyFlood) invent(random *rand.Rand) string {
	characters := func(n int) string {
		text := make([]byte, n)
		for i := range text {
			text[i] = base62[random.IntN(len(base62))]
		}
		return string(text)
	}
	switch random.IntN(5) {
	case 0: // noise
		noise := make([]byte, 1+random.IntN(300))
		for i := range noise {
			noise[i] = '!' + byte(random.IntN('~'-'!'+1))
		}
		return string(noise)
	case 1: // a slip of the finger
		at := len("tg_") + random.IntN(len(f.real)-len("tg_"))
		wrong := base62[(strings.IndexByte(base62, f.real[at])+1+random.IntN(61))%62]
		return f.real[:at] + string(wrong) + f.real[at+1:]
	case 2, 3: // somebody who knows the form
		body := "tg_" + characters(32)
		return body + checksum(body)
	default: // another shop's
		return "sk-" + characters(48)
	}
}
