package proxy

import (
	"strconv"

	"tollgate/upstream"

	"github.com/cespare/xxhash/v2"
)

// anchoredBytes bounds what is hashed of a conversation's beginning. Conversations
// that differ only beyond it belong together.
const anchoredBytes = 64 << 10

// anchor is a hash of what the request has in common with others that belong to
// the same candidate, by its model's affinity; 0: nothing. It is the same on
// every replica.
func (x *exchange) anchor() uint64 {
	if x.model.Affinity == upstream.AffinityNone {
		return 0
	}
	var hash xxhash.Digest
	hash.Reset()
	part := func(text string) {
		_, _ = hash.WriteString(strconv.Itoa(len(text))) // a hash takes everything
		_, _ = hash.WriteString(":")
		_, _ = hash.WriteString(text)
	}
	part(x.model.Name)
	switch x.model.Affinity {
	case upstream.AffinityKey:
		part(x.key.ID)
	case upstream.AffinityPrefix:
		part(x.key.Tenant)
		opening := x.document.Body[x.document.Opening.Start:x.document.Opening.End]
		_, _ = hash.Write(opening[:min(len(opening), anchoredBytes)])
	}
	return max(1, hash.Sum64())
}
