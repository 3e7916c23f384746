package e2e

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"

	"tollgate/simulator"

	"github.com/tiktoken-go/tokenizer/codec"
)

// evidence is all that is known of what a gateway did, which may have died again and
// again meanwhile: what its clients saw, what the providers were asked and sent, what
// it had written down before, and what is on the bill now. Requests are told apart by
// their max_tokens, a number that each customer has for itself and that comes back in
// the providers' truth and in the intents.
type evidence struct {
	customers map[int64]*customer
	truth     []simulator.Entry
	intents   []record            // of the journal, as it was found after each death
	ledger    map[string][]record // by request id
	sums      map[string]sums     // by public model, as the gateway sums up
	tokenizer *codec.Codec
	unsaved   int // how much of a text may be lost with the process, in bytes

	ids   map[int64][]string // the requests of each number, by their intents
	asked map[int64][]simulator.Entry
	wrong complaints
}

// sums are the totals of one model.
type sums struct {
	total
	cost int64
}

// judge holds everything against everything else. What is wrong is in wrong then.
func (e *evidence) judge() {
	e.index()
	e.judgeIntents()
	for _, id := range e.requests() {
		e.judgeBill(id)
	}
	for _, c := range e.customers {
		e.judgeCustomer(c)
	}
	e.judgeSums()
}

// index sorts by number what has none of its own.
func (e *evidence) index() {
	e.ids, e.asked = map[int64][]string{}, map[int64][]simulator.Entry{}
	for _, i := range e.intents {
		if !slices.Contains(e.ids[i.MaxCompletion], i.RequestID) {
			e.ids[i.MaxCompletion] = append(e.ids[i.MaxCompletion], i.RequestID)
		}
	}
	for _, entry := range e.truth {
		e.asked[numberOf(entry)] = append(e.asked[numberOf(entry)], entry)
	}
	for number, ids := range e.ids {
		if len(ids) > 1 {
			e.wrong.add("%s became several requests: %v", e.name(number), ids)
		}
	}
}

var numberInBody = regexp.MustCompile(`"max_tokens":(\d+)`)

// numberOf is the number of the customer for whom a provider was asked; 0 where the
// question had not come far enough.
func numberOf(e simulator.Entry) int64 {
	found := numberInBody.FindStringSubmatch(e.Body)
	if found == nil {
		return 0
	}
	number, _ := strconv.ParseInt(found[1], 10, 64)
	return number
}

// requests are the ids of all requests of which there must be a bill: who was turned
// away has none.
func (e *evidence) requests() []string {
	known := map[string]bool{}
	for _, i := range e.intents {
		known[i.RequestID] = true
	}
	for id := range e.ledger {
		known[id] = true
	}
	for _, c := range e.customers {
		if c.whole() {
			known[c.id] = true
		}
	}
	ids := make([]string, 0, len(known))
	for id := range known {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// judgeIntents looks for upstream requests that nobody had announced.
func (e *evidence) judgeIntents() {
	type attempts struct {
		number   int64
		provider string
	}
	announced := map[attempts]int{}
	for _, i := range e.intents {
		announced[attempts{i.MaxCompletion, i.Provider}]++
	}
	sent := map[attempts]int{}
	for _, entry := range e.truth {
		sent[attempts{numberOf(entry), string(entry.Provider)}]++
	}
	torn := 0
	for a, n := range sent {
		switch {
		case a.number == 0:
			torn += n
		case n > announced[a]:
			e.wrong.add("%s: %s was asked %d times, and %d intents announce it", e.name(a.number), a.provider, n, announced[a])
		}
	}
	if torn > 0 && len(e.truth) > len(e.intents) {
		e.wrong.add("providers were asked %d times, %d of them half a question, and there are %d intents", len(e.truth), torn, len(e.intents))
	}
}

// judgeBill holds the records of one request against each other, and against what
// the provider wrote.
func (e *evidence) judgeBill(id string) {
	records := e.ledger[id]
	type key struct {
		kind    string
		attempt int
	}
	seen := map[key]bool{}
	for _, r := range records {
		if k := (key{r.Kind, r.Attempt}); seen[k] {
			e.wrong.add("the ledger has a record twice: %+v", r)
		} else {
			seen[k] = true
		}
		if r.Kind == "attempt" && r.Charge != 0 || r.Charge < 0 || r.Cost < 0 {
			e.wrong.add("a record charges what it may not: %+v", r)
		}
	}
	bills := settles(records)
	if len(bills) != 1 {
		e.wrong.add("request %s has %d settles, want one: %+v (%s)", id, len(bills), records, e.name(e.numberOfRequest(id)))
		return
	}
	r := bills[0]
	if want := tariffs()[r.Model].charge(r.figures()); r.Charge != want && (r.EndReason == "completed" || r.Charge != 0) {
		e.wrong.add("charged %d nano-dollars, want %d: %+v", r.Charge, want, r)
	}
	switch number := e.numberOfRequest(id); {
	case r.EndReason == "completed":
		e.judgeCompleted(r, number)
	case r.EndReason == "recovered" || r.Source == "recovered":
		e.judgeRecovered(r, number)
	}
}

// numberOfRequest is the number of the customer whose request it is; 0: nobody knows.
func (e *evidence) numberOfRequest(id string) int64 {
	for number, ids := range e.ids {
		if slices.Contains(ids, id) {
			return number
		}
	}
	return 0
}

// judgeCompleted holds the bill of a whole answer against the one that the provider finished.
func (e *evidence) judgeCompleted(r record, number int64) {
	at := slices.IndexFunc(e.asked[number], func(entry simulator.Entry) bool {
		return entry.Done && string(entry.Provider) == r.Provider && entry.Fault == ""
	})
	if at < 0 {
		e.wrong.add("billed as completed, and no provider finished it: %+v", r)
		return
	}
	truth := e.asked[number][at]
	switch {
	case truth.UsageSent && (r.Source != "upstream" || r.figures() != reported(truth)):
		e.wrong.add("%s: billed %+v (source %s), the provider reported %+v", e.name(number), r.figures(), r.Source, reported(truth))
	case !truth.UsageSent && (r.Source != "estimated" || r.PromptTokens <= 0 || r.CompletionTokens <= 0):
		e.wrong.add("%s: an answer without reported usage must be estimated: %+v", e.name(number), r)
	}
}

// judgeRecovered holds the bill of a request in which the gateway died against what
// the provider had written until then, and against what the client had got.
func (e *evidence) judgeRecovered(r record, number int64) {
	if r.EndReason != "recovered" || r.Source != "recovered" {
		e.wrong.add("%s: neither recovered nor not: %+v", e.name(number), r)
	}
	var written string
	for _, entry := range e.asked[number] {
		if string(entry.Provider) == r.Provider && len(entry.Choices) == 1 && len(entry.Choices[0].Text) > len(written) {
			written = entry.Choices[0].Text
		}
	}
	if most := e.atMost(written); r.CompletionTokens > most {
		e.wrong.add("%s: recovered with %d completion tokens, the provider had written %d", e.name(number), r.CompletionTokens, most)
	}
	if len(e.asked[number]) == 0 && r.Charge != 0 {
		e.wrong.add("%s: charged for a request that no provider got: %+v", e.name(number), r)
	}
	c := e.customers[number]
	if c == nil {
		return
	}
	if most := e.count(c.prompt()) + promptOverhead; r.PromptTokens > most {
		e.wrong.add("%s: recovered with %d prompt tokens of %d: %+v", e.name(number), r.PromptTokens, most, r)
	}
	got := c.text()
	if least := e.atLeast(got[:max(0, len(got)-e.unsaved)]); r.CompletionTokens < least {
		e.wrong.add("%s: recovered with %d completion tokens, the client had %d of them long before: %+v", e.name(number), r.CompletionTokens, least, r)
	}
}

const (
	// promptOverhead is what an estimate may add to the text of a prompt, in tokens.
	promptOverhead = 16
	// usuallyUnsaved is more than a stream comes on between two checkpoints, in bytes of text: they are 1,024 apart.
	usuallyUnsaved = 2 << 10
)

// atMost is the most that may be counted for a text, of which a part may have been
// counted, and the rest by its length.
func (e *evidence) atMost(text string) int64 {
	counted := e.count(text)
	return counted + counted/8 + 1
}

// atLeast is the least, in the same way.
func (e *evidence) atLeast(text string) int64 {
	counted := e.count(text)
	return counted - counted/8 - 1
}

func (e *evidence) count(text string) int64 {
	counted, err := e.tokenizer.Count(text)
	if err != nil {
		panic(err) // of a simulator's words
	}
	return int64(counted)
}

// judgeCustomer holds what a client saw against its bill.
func (e *evidence) judgeCustomer(c *customer) {
	if !c.whole() {
		return
	}
	bills := settles(e.ledger[c.id])
	if len(bills) != 1 {
		return // that was said before
	}
	r := bills[0]
	if r.EndReason != "completed" || e.numberOfRequest(c.id) != c.number || r.Model != c.model || r.Stream != c.stream {
		e.wrong.add("%s has a whole answer, and this bill: %+v", e.name(c.number), r)
	}
	if told, ok := c.told(); ok && (told.Prompt != r.PromptTokens || told.Completion != r.CompletionTokens) {
		e.wrong.add("%s was told %+v, and billed %+v", e.name(c.number), told, r.figures())
	}
}

// judgeSums holds the totals against the sum of the records.
func (e *evidence) judgeSums() {
	want := map[string]sums{}
	for _, records := range e.ledger {
		for _, r := range records {
			sum := want[r.Model]
			if r.Kind == "settle" {
				sum.add(total{requests: 1, charge: r.Charge, figures: r.figures()})
				if r.Source != "upstream" && r.Source != "none" {
					sum.estimated++
				}
			}
			sum.cost += r.Cost
			want[r.Model] = sum
		}
	}
	for model := range want {
		if e.sums[model] != want[model] {
			e.wrong.add("the totals of %s are %+v, the records come to %+v", model, e.sums[model], want[model])
		}
	}
	for model, sum := range e.sums {
		if _, known := want[model]; !known {
			e.wrong.add("the totals of %s are %+v, and no record is known", model, sum)
		}
	}
}

// name says who a customer was, for complaints.
func (e *evidence) name(number int64) string {
	c := e.customers[number]
	if c == nil {
		return "request " + strconv.FormatInt(number, 10)
	}
	return cmp.Or(c.during, "?") + ": " + c.String()
}
