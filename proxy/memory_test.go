package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestDeclaredLengthsCostNothing lets a client declare large bodies of which it
// never sends more than a little: others are served.
func TestDeclaredLengthsCostNothing(t *testing.T) {
	for _, sent := range []int{9000, 100 << 10, 250 << 10} {
		r := newRig(t, answering(someAnswer), rigOptions{memory: true, server: func(c *Config) {
			c.MaxRequestBody, c.MaxBodyMemory = 4<<20, 8<<20
		}})
		for range 8 {
			conn, err := r.dial()
			must(t, err)
			defer conn.Close()
			length := fmt.Sprintf("Length: %d", sent)
			_, err = io.WriteString(conn, strings.Replace(r.request(strings.Repeat(" ", sent)), length, "Length: 4194304", 1))
			must(t, err)
		}
		for range 100 {
			if got := r.ask(plainAlias); got.status != 200 {
				t.Fatalf("got %d %s", got.status, got.body)
			}
		}
	}
}

// TestLargeBodiesDoNotStarveEachOther has twice as many large bodies as there is
// room for come at the same time, and slowly: half of them are refused soon, and
// hold nothing any more while their clients still send; the others are all served.
func TestLargeBodiesDoNotStarveEachOther(t *testing.T) {
	const size, room, clients = 1 << 20, 4, 8
	r := newRig(t, answering(someAnswer), rigOptions{memory: true, server: func(c *Config) {
		// The first step of each is on credit, and an eighth is kept for those of others.
		c.MaxRequestBody, c.MaxBodyMemory = size, bodyCopies*(room*size+clients*firstStep)*8/7
	}})
	request := r.request(strings.Replace(plainAlias, "hello", strings.Repeat("x", size-len(plainAlias)+len("hello")), 1))
	half := len(request) - size/2 - 1<<10
	statuses := make(chan int, clients)
	conns := make([]net.Conn, clients)
	for i := range conns {
		var err error
		conns[i], err = r.dial()
		must(t, err)
		defer conns[i].Close()
		go func() {
			answer, err := http.ReadResponse(bufio.NewReader(conns[i]), nil)
			if err != nil {
				statuses <- 0
				return
			}
			statuses <- answer.StatusCode
		}()
	}
	var sending sync.WaitGroup
	for _, conn := range conns {
		sending.Go(func() { _, _ = io.WriteString(conn, request[:half]) }) // or it is refused
	}
	sending.Wait()
	eventually(t, "the refusals of half the clients", func() bool {
		return len(statuses) == clients-room && r.gateway.bodyMemory.Load() == bodyCopies*room*size
	})
	for _, conn := range conns {
		sending.Go(func() { _, _ = io.WriteString(conn, request[half:]) })
	}
	sending.Wait()
	got := map[int]int{}
	for range clients {
		got[<-statuses]++
	}
	if got[200] != room || got[503] != clients-room {
		t.Errorf("statuses %v, want %d times 200 and %d times 503", got, room, clients-room)
	}
	r.idle()
}

// TestRefusedBodiesHoldNothing refuses a body for want of memory: when its client
// knows, what came of it is given back, although the rest is still on its way.
func TestRefusedBodiesHoldNothing(t *testing.T) {
	const size = 1 << 20
	r := newRig(t, answering(someAnswer), rigOptions{memory: true, server: func(c *Config) {
		c.MaxRequestBody, c.MaxBodyMemory = size, bodyCopies*size
	}})
	r.gateway.bodyMemory.Add(size) // others'
	conn, err := r.dial()
	must(t, err)
	defer conn.Close()
	request := r.request(strings.Repeat(" ", size))
	_, err = io.WriteString(conn, request[:len(request)-size/2])
	must(t, err)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	if held := r.gateway.bodyMemory.Add(-size); answer.StatusCode != 503 || held != 0 {
		t.Errorf("status %d, %d bytes are held for it", answer.StatusCode, held)
	}
}

// TestSlowLargeBodiesLeaveRoom has more large bodies begin, and not go on, than
// there is memory for: small ones are still taken.
func TestSlowLargeBodiesLeaveRoom(t *testing.T) {
	const size, sent = 1 << 20, 128 << 10
	r := newRig(t, answering(someAnswer), rigOptions{memory: true, server: func(c *Config) {
		c.MaxRequestBody, c.MaxBodyMemory, c.ReadTimeout = size, 16*size, patience
	}})
	length := fmt.Sprintf("Length: %d", sent)
	text := strings.Replace(r.request(strings.Repeat(" ", sent)), length, fmt.Sprintf("Length: %d", size), 1)
	for range 40 {
		conn, err := r.dial()
		must(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, text)
		must(t, err)
	}
	most := int64(r.gateway.roomOfLargeBodies()) - bodyCopies*size
	for begun := time.Now(); r.gateway.bodyMemory.Load() < most; time.Sleep(time.Millisecond) {
		if time.Since(begun) > patience {
			t.Fatalf("the large bodies hold %d bytes, want %d at least", r.gateway.bodyMemory.Load(), most)
		}
	}
	for range 100 {
		if got := r.ask(plainAlias); got.status != 200 {
			t.Fatalf("got %d %s", got.status, got.body)
		}
	}
}
