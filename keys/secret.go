package keys

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"math/big"
	"slices"

	"tollgate/telemetry"
)

// The form of a secret: the prefix lets a secret scanner find one, the checksum
// lets a typo (or garbage) be refused without asking a store.
const (
	secretPrefix   = "tg_"
	secretRandom   = 32 // base62 characters: 190 bits
	secretChecksum = 6  // base62 characters hold any CRC-32
	secretBody     = len(secretPrefix) + secretRandom
	secretLen      = secretBody + secretChecksum
)

// The form of a public id: 71 bits, so that two keys never meet.
const (
	idPrefix = "key_"
	idRandom = 12
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// mintSecret returns a new secret in clear text.
func mintSecret() []byte {
	secret := append(make([]byte, 0, secretLen), secretPrefix...)
	secret = appendRandom(secret, secretRandom)
	sum := checksum(secret)
	return append(secret, sum[:]...)
}

// mintID returns a new public id.
func mintID() string {
	return string(appendRandom([]byte(idPrefix), idRandom))
}

// The length of a secret that was imported: its form is that of whoever made it.
const (
	minForeign = 16
	maxForeign = 256
)

// wellFormed tells whether presented could be a secret: one of ours by its length and its
// checksum, or an imported one, which is visible ASCII of some length.
func wellFormed(presented []byte) bool {
	if len(presented) < minForeign || len(presented) > maxForeign {
		return false
	}
	if string(presented[:len(secretPrefix)]) != secretPrefix {
		return !slices.ContainsFunc(presented, func(c byte) bool { return !isVisible(c) })
	}
	if len(presented) != secretLen {
		return false
	}
	sum := checksum(presented[:secretBody])
	return bytes.Equal(presented[secretBody:], sum[:])
}

// isVisible tells whether c is an ASCII character that leaves a mark.
func isVisible(c byte) bool { return c > ' ' && c <= '~' }

// NewSecret returns a new secret in clear text, for an operator who issues a key by its
// hash: so nobody else ever sees it, and the call can be made again where its answer was lost.
func NewSecret() telemetry.Secret { return telemetry.Secret(mintSecret()) }

// checksum is the CRC-32 (IEEE) of body in base62, most significant digit first.
func checksum(body []byte) [secretChecksum]byte {
	var out [secretChecksum]byte
	rest := crc32.ChecksumIEEE(body)
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = base62[rest%uint32(len(base62))]
		rest /= uint32(len(base62))
	}
	return out
}

// appendRandom appends n random base62 characters. Bytes beyond the largest
// multiple of 62 are thrown away: folding them in would favour some characters.
func appendRandom(dst []byte, n int) []byte {
	const fair = 256 / len(base62) * len(base62)
	var pool [64]byte
	for want := len(dst) + n; len(dst) < want; {
		_, _ = rand.Read(pool[:]) // it never fails: without randomness the process is stopped
		for _, b := range pool {
			if int(b) < fair && len(dst) < want {
				dst = append(dst, base62[int(b)%len(base62)])
			}
		}
	}
	return dst
}

// derivedID is the public id of the key whose first secret has this digest, where
// that must be the same each time. The digest cannot be found from it, only a guess at it confirmed.
func derivedID(digest Digest) string {
	sum := sha256.Sum256(append([]byte("tollgate: the id of the key with this digest\x00"), digest[:]...))
	text := new(big.Int).SetBytes(sum[:]).Text(len(base62))
	return idPrefix + text[len(text)-idRandom:]
}
