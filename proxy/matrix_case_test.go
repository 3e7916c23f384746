package proxy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tollgate/simulator"
	"tollgate/telemetry"
	"tollgate/upstream"
	"tollgate/usage"

	"go.uber.org/goleak"
)

// What is said in the matrix. Each word is one token to the simulator and to
// Tollgate's own count alike, and those of answers are equally long: Tollgate
// shares a count out by bytes.
const (
	matrixPrompt = "one two three four five"
	matrixPhrase = " one two six ten new"
	matrixWords  = 40
)

// matrixText is an answer of so many words, a multiple of five.
func matrixText(words int) string { return strings.Repeat(matrixPhrase, words/5) }

// scene is one exchange of the matrix: who does what.
type scene struct {
	stream   bool
	policy   upstream.ProviderConfig // what becomes of an answer whose client has left
	contract string                  // of the providers; empty: one that reports its figures
	fault    simulator.Fault
	both     bool          // providers are struck by the fault, not only the first
	gap      time.Duration // between two words of the first provider's answer
	words    int           // of that answer, a multiple of five; 0: matrixWords
	style    simulator.Style
	comments int  // before each event
	usage    bool // the client asks for the usage chunk
	limits   upstream.Timeouts
	config   func(*Config)

	holds       *spot         // where the first provider's answer stops until its reader is gone, or it is let go on
	holdsSecond bool          // it is the second's
	stuck       bool          // it is not let go on
	deed        func(*matrix) // what happens meanwhile; nil: the client reads its answer
	reads       int64         // how many words the client reads before that
	comment     bool          // it reads a keep-alive comment before that
	pipelined   bool          // the client has sent its next request already
	untimed     bool          // nobody knows when exactly the client's time was over

	drainTime   time.Duration // of the policy, where it is drain
	drainTokens int
}

// matrix is a scene on stage: two providers, the gateway, and a client, each on
// sockets of its own.
type matrix struct {
	*socketRig
	scene
	stands [2]*stand
	gate   *gate
	client *caller
	halted time.Time // when a shutdown gave up on what was open; zero: none did
}

func newMatrix(t *testing.T, s scene) *matrix {
	t.Helper()
	m := &matrix{scene: s, gate: newGate(s.holds)}
	held := 0
	if s.holdsSecond {
		held = 1
	}
	for i := range m.stands {
		m.stands[i] = newStand(t, simulator.Options{Behaviour: simulator.Behaviour{Text: matrixText(matrixWords)}})
		if i == held {
			m.stands[i].gate = m.gate
		}
		if fault := s.fault; fault.Kind != "" && (i == 0 || s.both) {
			fault.Nth = 1
			must(t, m.stands[i].Inject(fault))
		}
	}
	m.stands[0].Behave(simulator.Behaviour{Text: matrixText(cmp.Or(s.words, matrixWords)), Gap: s.gap, Style: s.style, Comments: s.comments})
	leg := upstream.NewTransport(upstream.TransportOptions{})
	t.Cleanup(leg.Close)
	m.socketRig = newSocketRig(t, leg, rigOptions{memory: true, server: s.config, upstream: m.upstreams})
	m.gateway.Estimator = sharedEstimator()
	m.client = newCaller(t, m.address)
	t.Cleanup(m.gate.open) // first of all: nothing ends while it is held
	return m
}

// sharedEstimator spares each scene the loading of the vocabulary.
var sharedEstimator = sync.OnceValue(func() *usage.Estimator {
	e := usage.NewEstimator()
	e.Load()
	return e
})

// upstreams is a table of two equal providers, the second of which is asked when
// the first has failed. They serve one model within the scene's time limits, and
// one without.
func (m *matrix) upstreams(c *upstream.Config) {
	contract := cmp.Or(m.contract, "starmagic")
	model := simulator.Provider(contract).Models()[0]
	c.Providers, c.Models = map[string]upstream.ProviderConfig{}, map[string]upstream.ModelConfig{}
	var targets []upstream.TargetConfig
	for i, name := range []string{"first", "second"} {
		provider := m.policy
		provider.Contract.Base = contract
		provider.Endpoints = []upstream.EndpointConfig{{URL: m.stands[i].http.URL + "/" + contract + "/v1", APIKeys: []telemetry.Secret{"provider-key-0"}}}
		c.Providers[name] = provider
		targets = append(targets, upstream.TargetConfig{Provider: name, Model: model, Tier: i + 1})
	}
	c.Models["gemini-flash"] = upstream.ModelConfig{Targets: targets, Timeouts: m.limits}
	c.Models["any"] = upstream.ModelConfig{Targets: targets}
}

// question is a chat completion as bytes for a connection.
func (m *matrix) question(model string, stream bool) string {
	options := ""
	if stream && m.usage {
		options = `,"stream_options":{"include_usage":true}`
	}
	return m.request(fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":%q}],"stream":%t%s}`, model, matrixPrompt, stream, options))
}

// play lets the exchange happen and waits until nothing of it is in progress.
func (m *matrix) play() {
	m.t.Helper()
	question := m.question("gemini-flash", m.stream)
	m.client.send(question)
	if m.pipelined {
		m.client.send(question)
	}
	if m.deed == nil {
		m.client.all()
	} else {
		m.deed(m)
	}
	m.await("the end of the exchange", m.isOver)
}

// isOver reports whether the exchange has left its record and its access line,
// and holds nothing any more.
func (m *matrix) isOver() bool {
	g := m.gateway
	return len(m.bills()) > 0 && len(m.access()) > 0 && g.InFlight() == 0 && g.Drains() == 0 && g.bodyMemory.Load() == 0
}

// await polls for what must come about.
func (m *matrix) await(what string, reached func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(patience); !reached(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("%s: not within %s; in flight %d, drains %d, body memory %d, records %+v\n%s",
				what, patience, m.gateway.InFlight(), m.gateway.Drains(), m.gateway.bodyMemory.Load(), m.bills(), m.log)
		}
	}
}

// bills are those so far.
func (m *matrix) bills() []usage.Record {
	_, bills := m.recorded()
	return bills
}

// recorded are the failed attempts and the bills so far.
func (m *matrix) recorded() (attempts, bills []usage.Record) {
	memory := m.records.(*memoryRecorder)
	memory.mu.Lock()
	defer memory.mu.Unlock()
	var all []usage.Record
	for _, records := range memory.records {
		all = append(all, records...)
	}
	return parted(all)
}

// access are the access lines so far.
func (m *matrix) access() []accessed {
	var lines []accessed
	for line := range strings.Lines(m.log.String()) {
		var one accessed
		if json.Unmarshal([]byte(line), &one) == nil && one.Message == "request" {
			lines = append(lines, one)
		}
	}
	return lines
}

// accessed is what the matrix reads of an access line.
type accessed struct {
	Message   string `json:"msg"`
	RequestID string `json:"request_id"`
	Status    int    `json:"status"`
	ErrorCode string `json:"error_code"`
	EndReason string `json:"end_reason"`
}

// attempts are the attempts that breakers were told of, in the order in which
// providers are asked.
func (m *matrix) attempts() []attempted {
	var told []attempted
	for _, line := range m.counters() {
		var count int
		labels, found := strings.CutPrefix(line, "tollgate.attempts{")
		if !found {
			continue
		}
		labels, after, _ := strings.Cut(labels, "} ")
		_, err := fmt.Sscan(after, &count)
		must(m.t, err)
		var one attempted
		for label := range strings.SplitSeq(labels, ",") {
			switch name, value, _ := strings.Cut(label, "="); name {
			case "gen_ai.provider.name":
				one.provider = value
			case "tollgate.outcome":
				one.outcome = value
			}
		}
		for range count {
			told = append(told, one)
		}
	}
	slices.SortStableFunc(told, func(a, b attempted) int { return cmp.Compare(a.provider, b.provider) })
	return told
}

// attempted is one attempt as its breaker was told of it.
type attempted struct{ provider, outcome string }

// cast plays scenes, many at a time: they wait more than they work, so that
// t.Parallel, which runs one for each processor, would take several times as long.
type cast struct {
	t      *testing.T
	leaks  goleak.Option
	places chan struct{}
	scenes sync.WaitGroup
}

func newCast(t *testing.T) *cast {
	return &cast{t: t, leaks: goleak.IgnoreCurrent(), places: make(chan struct{}, 16)}
}

// leave waits for all scenes. None has left a goroutine behind.
func (c *cast) leave() {
	c.t.Helper()
	c.scenes.Wait()
	goleak.VerifyNone(c.t, c.leaks,
		// fasthttp's own: see TestMain.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// both plays a scene for a stream and for a plain answer.
func (c *cast) both(name string, s scene, stream, plain string) {
	name += "/" + s.policy.OnDisconnect
	s.stream = true
	c.play(name+"/stream", s, stream)
	s.stream = false
	c.play(name+"/plain", s, plain)
}

// play plays a scene and compares its fate.
func (c *cast) play(name string, s scene, want string) {
	if strings.HasPrefix(want, leftOut("")) {
		return
	}
	c.scenes.Go(func() {
		c.places <- struct{}{}
		defer func() { <-c.places }()
		c.t.Run(name, func(t *testing.T) {
			m := newMatrix(t, s)
			m.play()
			m.settle(want)
			m.check()
			if m.halted.IsZero() {
				m.probe()
			}
		})
	})
}

// leftOut stands in the table where a combination means nothing, or nothing new,
// and says why.
func leftOut(why string) string { return "left out: " + why }
