package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"tollgate/simulator"
	"tollgate/store/redistest"
)

// quartet is four replicas on one Redis, which are to be one where limits are concerned.
type quartet struct {
	redis    *redistest.Server
	replicas []*fleet
	clients  []bare
	operator operators // at the last replica
	config   string
}

// quartetSize is how many replicas there are.
const quartetSize = 4

// newQuartet starts the replicas. The environment says where their provider is, and changes single options of
// configuration; limits are more options of that section, such as "shadow: true".
func newQuartet(t *testing.T, redis *redistest.Server, changes environment, limits ...string) *quartet {
	t.Helper()
	env := environment{"SIMULATOR": "http://127.0.0.1:9", "PROVIDER_KEY": providerKey, "REDIS": redis.Address(), "REQUESTS_PER_MINUTE": "0"}
	maps.Copy(env, measured(t, changes))
	q := &quartet{redis: redis, config: withLimits(configuration, limits...) + storeOf(env)}
	for range quartetSize {
		f := &fleet{env: maps.Clone(env)}
		f.env["DATA_DIR"] = t.TempDir()
		f.gateway = begin(t, q.config, f.env)
		q.replicas = append(q.replicas, f)
	}
	for _, f := range q.replicas {
		f.awaitServing(t)
		q.clients = append(q.clients, f.bare(t))
		q.operator = f.operators(t)
	}
	q.complete(t)
	return q
}

// withLimits is a configuration with these options added to its limits.
func withLimits(config string, options ...string) string {
	const section = "\nlimits: {"
	for _, option := range options {
		config = strings.Replace(config, section, section+option+", ", 1)
	}
	return config
}

// simulated starts a simulator whose truth remembers so many requests, and puts its address into the environment.
func simulated(t *testing.T, env environment, entries int) *simulator.Simulator {
	t.Helper()
	providers := simulator.New(simulator.Options{TruthEntries: entries, TruthBytes: 64, Behaviour: simulator.Behaviour{Keys: []string{providerKey}}})
	running, err := providers.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := running.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	env["SIMULATOR"] = running.URL()
	return providers
}

// complete waits until every replica has counted all of them.
func (q *quartet) complete(t *testing.T) {
	t.Helper()
	for _, f := range q.replicas {
		until(t, "the replicas to know each other", patience, func() bool {
			return f.scrape(t)["tollgate_limit_replicas"] == strconv.Itoa(len(q.replicas))
		})
	}
}

// issue makes a key of this tenant with these fields, such as `"concurrent":3`.
func (q *quartet) issue(t *testing.T, tenant, fields string) (key tenantKey) {
	t.Helper()
	q.operator.obeyed(t, http.MethodPost, "/keys", fmt.Sprintf(`{"tenant":%q,"name":"limited",%s}`, tenant, fields), &key)
	return key
}

// restrict gives all keys of a tenant these limits together.
func (q *quartet) restrict(t *testing.T, tenant, fields string) {
	t.Helper()
	var ignored json.RawMessage
	q.operator.obeyed(t, http.MethodPatch, "/tenants/"+tenant, "{"+fields+"}", &ignored)
}

// heard waits until every replica knows that so many limits are the key's and its tenant's.
func (q *quartet) heard(t *testing.T, key tenantKey, limits int) {
	t.Helper()
	for _, f := range q.replicas {
		o := f.operators(t)
		until(t, "a replica to hear of limits", patience, func() bool { return len(o.standing(t, key.ID)) == limits })
	}
}

// sum is what a series counts over all replicas; one that is not there counts nothing.
func (q *quartet) sum(t *testing.T, series string) (sum float64) {
	t.Helper()
	for _, f := range q.replicas {
		value, counted := f.scrape(t)[series]
		if !counted {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Errorf("%s is %q", series, value)
		}
		sum += n
	}
	return sum
}

// blame fails the test, unless Redis was late on a machine that has much else to do: where a request was decided by a
// replica's share, limits are as exact as TestLimitWithoutRedis says, and no more.
func (q *quartet) blame(t *testing.T, format string, args ...any) {
	t.Helper()
	if n := q.sum(t, decidedAlone); n > 0 {
		t.Logf("%.0f requests were decided by shares, so this is no failure: "+format, append([]any{n}, args...)...)
		return
	}
	t.Errorf(format, args...)
}

// The series of the limiter.
const (
	ordersAnswered = `tollgate_limit_orders_total{tollgate_result="answered"}`
	ordersFailed   = `tollgate_limit_orders_total{tollgate_result="failed"}`
	decidedAlone   = `tollgate_limit_alone_total`
	slotsInUse     = `tollgate_limit_slots`
)

// standing is what a key has left of one limit, as operators are told.
type standing struct {
	Limit string `json:"limit"`
	Max   int64  `json:"max"`
	Left  int64  `json:"left"`
}

// standing asks a replica what the key has left, by limit.
func (o operators) standing(t *testing.T, id string) map[string]standing {
	t.Helper()
	var shown struct {
		Standing []standing `json:"standing"`
	}
	o.obeyed(t, http.MethodGet, "/keys/"+id, "", &shown)
	found := map[string]standing{}
	for _, s := range shown.Standing {
		found[s.Limit] = s
	}
	return found
}
