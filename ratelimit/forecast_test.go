package ratelimit

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestForecast(t *testing.T) {
	f := NewForecast()
	expect := func(what string, want int64) {
		t.Helper()
		if got := f.Completion("key_a", "gemini"); got != want {
			t.Errorf("%s: %d tokens are foretold, want %d", what, got, want)
		}
	}
	learn := func(times int, tokens int64) {
		for range times {
			f.Learn("key_a", "gemini", tokens)
		}
	}
	expect("no answer yet", 1024)
	learn(18, 100)
	expect("18 short answers", 1024)
	learn(1, 100)
	expect("19 short answers, and the first guess as a twentieth", 104)
	learn(20, 100)
	learn(1, 5000)
	expect("one long answer of 40", 104)
	learn(2, 5000)
	expect("three of 42", 5120)
	learn(10, 0)
	learn(10, -1)
	expect("answers without a token", 5120)
	for _, other := range [][2]string{{"key_b", "gemini"}, {"key_a", "flash"}, {"key_", "agemini"}} {
		if got := f.Completion(other[0], other[1]); got != 1024 {
			t.Errorf("%q: %d tokens are foretold from the answers to others", other, got)
		}
	}
	f.Learn("key_c", "gemini", 1<<62)
	if got := f.Completion("key_c", "gemini"); got != 1<<31 {
		t.Errorf("an answer of 2^62 tokens foretells %d, want 2^31", got)
	}
}

// The classes cover all lengths without a gap, and none is wider than an eighth of where it begins.
func TestClasses(t *testing.T) {
	begin := int64(1)
	for class := range classCount {
		end := classEnd(class)
		if end < begin || (end-begin)*8 >= begin+7 {
			t.Fatalf("class %d goes from %d to %d", class, begin, end)
		}
		if classOf(begin) != class || classOf(end) != class {
			t.Fatalf("%d and %d tokens are of the classes %d and %d, want %d", begin, end, classOf(begin), classOf(end), class)
		}
		begin = end + 1
	}
	if begin != maxCompletions+1 {
		t.Errorf("the last class ends with %d tokens, want %d", begin-1, int64(maxCompletions))
	}
}

// lengths draws answers as they are: mostly alike, with a tail that is much longer.
func lengths(t *rapid.T, name string, count int) []int64 {
	usual := rapid.Int64Range(1, 1<<20).Draw(t, name)
	tail := rapid.IntRange(0, 20).Draw(t, name+", of 100 in the tail")
	drawn := make([]int64, count)
	for i := range drawn {
		drawn[i] = rapid.Int64Range((usual+3)/4, usual).Draw(t, "tokens")
		if rapid.IntRange(0, 99).Draw(t, "place") < tail {
			drawn[i] *= rapid.Int64Range(1, 1000).Draw(t, "times")
		}
	}
	return drawn
}

// exact is the length that 19 of 20 answers do not exceed, as its class ends.
func exact(answers []int64) int64 {
	sorted := slices.Sorted(slices.Values(answers))
	return classEnd(classOf(sorted[len(sorted)-1-len(sorted)/20]))
}

// Until the oldest count less, the forecast is that of all answers and the first guess.
func TestForecastIsThe95thPercentile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		answers := lengths(t, "usual", rapid.IntRange(1, 255).Draw(t, "answers"))
		f := NewForecast()
		for _, n := range answers {
			f.Learn("key", "model", n)
		}
		if got, want := f.Completion("key", "model"), exact(append(answers, firstGuess)); got != want {
			t.Fatalf("%d tokens are foretold, want %d", got, want)
		}
	})
}

// Whatever the answers were: when they are others from now on, a few longer ones suffice, and shorter ones are taken for
// the rule when the older have been halved often enough to be less than one of 20.
func TestForecastFollowsAChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := NewForecast()
		before := rapid.IntRange(0, 3000).Draw(t, "answers before")
		long, short := rapid.Int64Range(2000, 1<<31).Draw(t, "long"), rapid.Int64Range(1, 1000).Draw(t, "short")
		repeat := func(times int, tokens int64) int64 {
			for range times {
				f.Learn("key", "model", tokens)
			}
			return f.Completion("key", "model")
		}
		repeat(before, short)
		if got := repeat(14, long); got != classEnd(classOf(long)) {
			t.Fatalf("after 14 answers of %d tokens %d are foretold", long, got)
		}
		repeat(before, long)
		if got := repeat(640, short); got != classEnd(classOf(short)) {
			t.Fatalf("after 640 answers of %d tokens %d are foretold", short, got)
		}
	})
}

// A rare answer is not forgotten before the common ones of its time are.
func TestForecastKeepsTheTail(t *testing.T) {
	f := NewForecast()
	for n := range 10_000 {
		tokens := int64(100)
		if n%10 == 0 {
			tokens = 1000 << (n / 10 % 8) // one in ten is long, and no two of a row alike
		}
		f.Learn("key", "model", tokens)
		if got := f.Completion("key", "model"); n > 256 && (got < 8000 || got > 32_768) {
			t.Fatalf("after %d answers %d tokens are foretold, want about 16000", n+1, got)
		}
	}
}

// The pairs that were used last are the ones that are known.
func TestForecastIsBounded(t *testing.T) {
	f := NewForecast()
	for n := range maxPairs + 500 {
		f.Learn(strconv.Itoa(n), "model", 5000)
		if n >= 7 {
			f.Completion("7", "model") // in use all the time, and never answered again
		}
		f.Completion(strconv.Itoa(n), "never answered")
	}
	if len(f.pairs) != maxPairs || f.used.Len() != maxPairs {
		t.Errorf("%d pairs are held, and %d of them in the order of their use; want %d", len(f.pairs), f.used.Len(), maxPairs)
	}
	for key, want := range map[string]int64{"0": 1024, "499": 1024, "500": 1024, "501": 5120, "7": 5120, strconv.Itoa(maxPairs + 499): 5120} {
		if got := f.Completion(key, "model"); got != want {
			t.Errorf("key %s: %d tokens are foretold, want %d", key, got, want)
		}
	}
}

func TestForecastIsSafeForConcurrentUse(t *testing.T) {
	f := NewForecast()
	f.most = 10
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for n := range 2000 {
				key := strconv.Itoa((n + worker) % 15)
				f.Learn(key, "model", int64(n%1000+1))
				if got := f.Completion(key, "model"); got < 1 || got > 1024 {
					t.Errorf("%d tokens are foretold", got)
				}
			}
		})
	}
	group.Wait()
	if len(f.pairs) != 10 {
		t.Errorf("%d pairs are held, want 10", len(f.pairs))
	}
}

func TestForecastDoesNotAllocate(t *testing.T) {
	f := NewForecast()
	key, model := "key_000000000001", "gemini-2.5-flash-lite"
	f.Learn(key, model, 1)
	tokens := int64(1)
	if n := testing.AllocsPerRun(1000, func() {
		f.Learn(key, model, tokens)
		tokens += f.Completion(key, model) + f.Completion(key, "unknown")
	}); n != 0 {
		t.Errorf("%v allocations for a known pair, want 0", n)
	}
}

func BenchmarkForecast(b *testing.B) {
	f := NewForecast()
	keys := make([]string, 1000)
	for n := range keys {
		keys[n] = fmt.Sprintf("key_%012d", n)
		f.Learn(keys[n], "gemini-2.5-flash-lite", 100)
	}
	b.Run("completion", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			f.Completion(keys[n%len(keys)], "gemini-2.5-flash-lite")
		}
	})
	b.Run("learn", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			f.Learn(keys[n%len(keys)], "gemini-2.5-flash-lite", int64(n%4000))
		}
	})
	b.Run("both, in parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for n := 0; pb.Next(); n++ {
				f.Learn(keys[n%len(keys)], "gemini-2.5-flash-lite", f.Completion(keys[n%len(keys)], "gemini-2.5-flash-lite"))
			}
		})
	})
}
