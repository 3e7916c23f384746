// Package watch answers one question: has the peer of this connection closed its end?
//
// A handler that waits for something else, such as a provider's next token, neither writes nor reads, and so does not
// learn that its client has left. A [Watcher] tells it, some 10 microseconds after the FIN or RST has come (later where
// every processor is busy: it is a goroutine like any other), also when unread bytes lie in front of the FIN. It reads
// nothing from the connection and costs no goroutine per connection. On Linux all connections share one epoll instance
// (EPOLLRDHUP, edge-triggered, see epoll_ctl(2)), which itself waits in Go's own poller, so that no thread is blocked.
//
// What it cannot know:
//
//   - A client that shut down only its sending side (half-close) looks like one that left, until something is written
//     to it. It counts as gone, as it does in net/http.
//   - A TLS close_notify without a FIN is data to the kernel and goes unseen. TLS clients close the connection after it.
//   - A FIN travels behind the data. When more of it lies unread than the socket takes (64 KiB and up, tcp_rmem in
//     tcp(7)), the FIN has not arrived yet. A RST does not wait.
//   - A peer that vanished (power, network) sends nothing. TCP keep-alive notices it on a silent connection,
//     [KeepAlive] while data is on its way; both end as an error of the connection, which the watcher reports.
//   - Systems other than Linux have no watcher: there New works and Add returns [ErrUnsupported]. A client that has
//     left is then noticed by the second or third write after it went, and not before.
//
// A Watcher is safe for concurrent use.
package watch
