//go:build !linux

package watch

// poller watches nothing on this system.
type poller struct{}

func newPoller() (*poller, error) { return &poller{}, nil }

func (*poller) add(int, Token) error { return ErrUnsupported }

func (*poller) run(func(Token)) error { return nil }

func (*poller) close() error { return nil }
