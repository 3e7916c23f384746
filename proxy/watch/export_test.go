package watch

// StartAfter makes t the last token given.
func (w *Watcher) StartAfter(t Token) { w.last = t }
