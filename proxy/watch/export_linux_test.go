package watch

// Polls returns how often the watcher has asked the kernel for events.
func (w *Watcher) Polls() uint64 { return w.poller.polls.Load() }
