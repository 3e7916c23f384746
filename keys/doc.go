// Package keys answers one question: whose secret is this, and what may its
// owner do?
//
// A Directory finds the key of a secret; in the hands of an Operator it issues, changes,
// rotates, revokes and deletes keys, and remembers who did. A Store keeps the records. A
// secret is shown once and never stored: a dump of the store, its audit included, holds
// digests and last-four characters only.
//
// A replica on its own has a BoltStore: one file, all of it in memory as well,
// never stale. The replicas of a fleet share a RedisStore, each behind a CachedStore:
//
//	Directory    checksum, digest, expiry, revocation: judged at each request, in an outage too
//	CachedStore  what this replica has learned, and what it has heard of since
//	RedisStore   what is true, and the feed of what has changed
//
// Every change has a version, and a replica asks four times a second what has
// changed since the one it knows; news of a change make it ask at once. So a replica
// knows a new key at the first request that carries it, what was changed through
// itself at once, and what was changed elsewhere within milliseconds, or 250 ms where
// the news are lost. Keys that it knows cost no question to Redis. While Redis does
// not answer, it serves the keys that it has served or confirmed within
// keys.outage_grace; of all others it knows nothing, and says ErrUnavailable, never
// that they are wrong. A key revoked at one replica just before an outage may
// therefore work at another until Redis is back, or the grace is over.
//
// A Directory and a Store are safe for concurrent use. A Key is shared by all who
// were handed it and is never modified after it was returned: read it, keep it,
// never write to it.
package keys
