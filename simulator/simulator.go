package simulator

import (
	"context"
	"net/http"
	"slices"
	"sync"
)

// A Simulator plays the three providers. It serves
//
//	POST /starmagic/v1/chat/completions
//	POST /theturbo/v1/chat/completions
//	POST /evolink/v1/chat/completions
//	GET  /_truth
//
// and refuses everything else: 404 for another path, 405 for another method.
type Simulator struct {
	options Options
	paths   map[string]Provider // by the path of its one endpoint
	faults  faults
	truth   *truth

	connections connections

	mu      sync.Mutex
	playing map[Provider]played
}

// played is a provider as it is played at the moment.
type played struct {
	behaviour Behaviour
	contract  *contract // with the behaviour's deviations
}

func play(p Provider, b Behaviour) played {
	b = b.withDefaults()
	return played{behaviour: b, contract: contractOf(p, b.Deviations)}
}

// New builds a simulator. It serves nothing before Start is called or Handler's
// result is served.
func New(o Options) *Simulator {
	o = o.withDefaults()
	s := &Simulator{
		options: o,
		paths:   map[string]Provider{},
		truth:   newTruth(o.TruthEntries),
		playing: map[Provider]played{},
	}
	for _, p := range Providers() {
		s.paths["/"+string(p)+"/v1/chat/completions"] = p
		b, own := o.Providers[p]
		if !own {
			b = o.Behaviour
		}
		s.playing[p] = play(p, b)
	}
	return s
}

// Handler serves the three providers and the truth log. Its answers need a real
// connection under them: a cut hijacks it.
func (s *Simulator) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Behave changes how the named providers answer from now on, all three when
// none is named.
func (s *Simulator) Behave(b Behaviour, providers ...Provider) {
	if len(providers) == 0 {
		providers = Providers()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range providers {
		s.playing[p] = play(p, b)
	}
}

// Inject adds faults behind those injected before. A request that several
// faults are due to strike is struck by the first. When one makes no sense (an
// unknown kind, an impossible status), the error says so and none is added.
func (s *Simulator) Inject(faults ...Fault) error { return s.faults.add(faults) }

// ClearFaults removes all faults. Requests that one has struck stay struck.
func (s *Simulator) ClearFaults() { s.faults.clear() }

// Truth returns what is known of the last requests, in the order in which they
// arrived, those in flight included.
func (s *Simulator) Truth() []Entry { return s.truth.entries() }

// Await waits until reached finds what it wants in the truth, and returns the
// truth then: that a request has come in, say, or that its third token is
// written. It looks again at every change. The error is ctx's.
func (s *Simulator) Await(ctx context.Context, reached func([]Entry) bool) ([]Entry, error) {
	var entries []Entry
	err := s.truth.await(ctx, func() bool {
		entries = s.Truth()
		return reached(entries)
	})
	return entries, err
}

// Settled waits until at least so many requests have arrived since the start or
// the last Reset and none is in flight, and returns the truth then. The error
// is ctx's.
func (s *Simulator) Settled(ctx context.Context, requests int) ([]Entry, error) {
	err := s.truth.await(ctx, func() bool { return s.truth.settled(requests) })
	return s.Truth(), err
}

// InFlight is how many requests are in progress: received, at least their
// header, and not Ended.
func (s *Simulator) InFlight() int { return s.truth.inFlight() }

// Connections is how many TCP connections are open, over all that Start has
// started: accepted, and closed by neither side as far as the simulator has
// seen. Await looks again at every change of it.
func (s *Simulator) Connections() int { return int(s.connections.open.Load()) }

// Reset forgets the truth; numbers start at 1 again. Faults and behaviours stay.
func (s *Simulator) Reset() { s.truth.reset() }

func (s *Simulator) played(p Provider) played {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.playing[p]
}

func (s *Simulator) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/_truth" {
		s.serveTruth(w, r)
		return
	}
	x := s.newExchange(w, r)
	s.truth.begin(x.record)
	defer func() { s.truth.end(x.record, s.options.Now()) }()
	x.serve()
}

func (s *Simulator) serveTruth(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		writeJSON(w, http.StatusMethodNotAllowed, wrongMethod(r).body())
		return
	}
	writeJSON(w, http.StatusOK, encode(struct {
		Entries []Entry `json:"entries"`
	}{s.Truth()}))
}

// accepts reports whether the behaviour's keys include this one.
func (b *Behaviour) accepts(key string) bool {
	return key != "" && (len(b.Keys) == 0 || slices.Contains(b.Keys, key))
}
