// Package head is the strict check of a raw request head: it answers whether
// every reader on the way would cut this request at the same byte and see the
// same credentials in it.
//
// fasthttp tolerates what a neighbouring proxy may read differently: folded
// lines, bare line feeds, spaces in names, Content-Length beside
// Transfer-Encoding. Each of these is a request-smuggling or a
// credential-confusion hole, so the gateway looks at the bytes once more and
// refuses the request. The rules are RFC 9110 section 5 and RFC 9112 sections 5
// and 6, where the stricter reading is always the one taken.
//
// Check keeps nothing and is safe for concurrent use.
package head
