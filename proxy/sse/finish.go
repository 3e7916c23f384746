package sse

import "math/bits"

// maxChoices is the most answers that one request can ask for, by OpenAI's reference of the parameter n.
const maxChoices = 128

// A bitset holds choice indices.
type bitset [maxChoices / 64]uint64

// add puts an index in; one that no choice can have is no index.
func (s *bitset) add(index int) {
	if index >= 0 && index < maxChoices {
		s[index/64] |= 1 << (index % 64)
	}
}

func (s *bitset) addAll(more bitset) {
	for i := range s {
		s[i] |= more[i]
	}
}

func (s *bitset) empty() bool { return *s == bitset{} }

// firstMissing is the smallest index that is not in the set.
func (s *bitset) firstMissing() int {
	for i, word := range s {
		if word != ^uint64(0) {
			return i*64 + bits.TrailingZeros64(^word)
		}
	}
	return maxChoices
}

// number reads a choice index, -1 when it is none.
func number(digits []byte) int {
	if string(digits) == "-0" { // it is 0 to whoever decodes it
		return 0
	}
	if len(digits) == 0 || len(digits) > 3 {
		return -1
	}
	n := 0
	for _, d := range digits {
		if d < '0' || d > '9' {
			return -1
		}
		n = 10*n + int(d-'0')
	}
	return n
}

// reasons is a set of the finish reasons of OpenAI's reference. It holds no text of a provider's own.
type reasons uint8

func reasonNames() [5]string {
	return [...]string{"stop", "length", "tool_calls", "content_filter", "function_call"}
}

// add puts a reason in; one that the reference does not know is left out.
func (r *reasons) add(reason []byte) {
	for i, name := range reasonNames() {
		if string(reason) == name {
			*r |= 1 << i
		}
	}
}

// list returns the names of the set's reasons, nil when it is empty.
func (r reasons) list() []string {
	var list []string
	for i, name := range reasonNames() {
		if r&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	return list
}
