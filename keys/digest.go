package keys

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"sync"

	"tollgate/telemetry"
)

// Digest is what is stored in place of a secret: its SHA-256, or the HMAC-SHA256 of
// that under the pepper, so that a secret can be imported by its SHA-256 alone. A slow password hash would add nothing: a secret has 190 random bits.
type Digest [sha256.Size]byte

// The schemes a Record names: how its digest was made.
const (
	schemePlain    = "sha256"
	schemePeppered = "hmac-sha256-2:" // then the fingerprint of the pepper
)

// digester turns secrets into digests.
type digester struct {
	scheme string
	macs   *sync.Pool // of *mac, keyed by the pepper; nil without one
}

// mac keeps the sum beside the hash: handed to an interface, a local array would be allocated for each request.
type mac struct {
	hash.Hash
	sum Digest
}

func newDigester(pepper telemetry.Secret) digester {
	if len(pepper) == 0 {
		return digester{scheme: schemePlain}
	}
	key := []byte(pepper.Reveal())
	d := digester{macs: &sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, key)} }}}
	fingerprint := d.digest([]byte("tollgate: which pepper is this?"))
	d.scheme = schemePeppered + hex.EncodeToString(fingerprint[:4])
	return d
}

// digest does not retain secret.
func (d digester) digest(secret []byte) Digest {
	return d.stored(sha256.Sum256(secret))
}

// stored is the digest of the secret that has this SHA-256.
func (d digester) stored(sum Digest) Digest {
	if d.macs == nil {
		return sum
	}
	m := d.macs.Get().(*mac)
	defer d.macs.Put(m)
	m.Reset()
	m.sum = sum
	_, _ = m.Write(m.sum[:]) // a hash never fails
	m.Sum(m.sum[:0])
	return m.sum
}
