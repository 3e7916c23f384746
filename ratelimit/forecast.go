package ratelimit

import (
	"container/list"
	"math/bits"
	"strings"
	"sync"
)

// maxPairs bounds the pairs of a key and a model that a Forecast knows; at about 700 bytes each they take 7 MB.
const maxPairs = 10_000

// Forecast foretells how long answers will be, by key and model, from those that have been. It is safe for concurrent
// use, and knows the 10,000 pairs of a key and a model that were used last.
type Forecast struct {
	mu    sync.Mutex // held for a look-up, or for one pass over a tally: well below a microsecond
	pairs map[pair]*list.Element
	used  list.List // of *tally, the one used last at the front
	most  int
}

// pair is whose answers are alike.
type pair struct{ key, model string }

// NewForecast returns one that knows nothing.
func NewForecast() *Forecast { return &Forecast{pairs: map[pair]*list.Element{}, most: maxPairs} }

// Completion returns how many tokens 19 of 20 answers to the key and model have had at most, among the last few hundred,
// rounded up by an eighth at most. To begin with it is 1,024, and that counts as one of the answers: it takes 19 shorter
// ones to foretell less.
func (f *Forecast) Completion(key, model string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.pairs[pair{key, model}]
	if e == nil {
		return firstGuess // and nobody is forgotten for a pair that may never be answered
	}
	f.used.MoveToFront(e)
	return e.Value.(*tally).p95
}

// Learn takes in an answer that has come to its end; one of no tokens says nothing of those to come.
func (f *Forecast) Learn(key, model string, tokens int64) {
	if tokens <= 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.pairs[pair{key, model}]
	if e == nil {
		e = f.add(key, model)
	}
	f.used.MoveToFront(e)
	e.Value.(*tally).learn(tokens)
}

func (f *Forecast) add(key, model string) *list.Element {
	if len(f.pairs) >= f.most {
		oldest := f.used.Remove(f.used.Back()).(*tally)
		delete(f.pairs, oldest.of)
	}
	// A model's name may be a part of a request's body, which would live as long as it does.
	t := &tally{of: pair{strings.Clone(key), strings.Clone(model)}}
	t.add(firstGuess)
	e := f.used.PushFront(t)
	f.pairs[t.of] = e
	return e
}

const (
	// firstGuess is how long an answer is held to be as long as there was none, in tokens.
	firstGuess = 1024
	// answerWeight is what a new answer counts. It is halved seven times before it is forgotten: with a weight of 1, the
	// rare long answers, which are what the forecast is about, would all go first.
	answerWeight = 128
	// maxWeight is that of 256 answers: beyond it all that were before count half.
	maxWeight = 256 * answerWeight
	// classCount is that of classOf's classes.
	classCount = 8 * 29
)

// tally counts the answers of a pair by their length, and forgets the old ones.
type tally struct {
	of     pair
	total  int
	p95    int64
	weight [classCount]uint16
}

func (t *tally) learn(tokens int64) {
	t.add(tokens)
	if t.total > maxWeight {
		t.forget()
	}
	t.p95 = t.quantile()
}

func (t *tally) add(tokens int64) {
	t.weight[classOf(tokens)] += answerWeight
	t.total += answerWeight
}

func (t *tally) forget() {
	t.total = 0
	for i := range t.weight {
		t.weight[i] /= 2
		t.total += int(t.weight[i])
	}
}

// quantile is the end of the first class that has no more than one of 20 answers above it.
func (t *tally) quantile() int64 {
	class := classCount - 1
	for above := int(t.weight[class]); above*20 <= t.total; above += int(t.weight[class]) {
		class--
	}
	return classEnd(class)
}

// classOf returns the class of an answer of n tokens, 1 or more: eight of them to a doubling, up to maxCompletions.
func classOf(n int64) int {
	before := uint64(min(n, maxCompletions)) - 1
	if before < 8 {
		return int(before)
	}
	shift := bits.Len64(before) - 4 // which leaves the leading 1 and three bits after it
	return 8*shift + int(before>>shift)
}

// classEnd is the most tokens of an answer that is of the class.
func classEnd(class int) int64 {
	if class < 8 {
		return int64(class) + 1
	}
	shift := class/8 - 1
	return int64(class%8+9) << shift
}
