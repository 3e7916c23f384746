// Package keys answers one question: whose secret is this, and what may its
// owner do?
//
// A Directory mints, hashes, finds and revokes the secrets of tenants; a Store
// keeps the records. A secret is shown once and never stored: a dump of the store
// holds digests and last-four characters only.
//
// A Directory and a Store are safe for concurrent use. A Key is shared by all who
// were handed it and is never modified after it was returned: read it, keep it,
// never write to it.
package keys
