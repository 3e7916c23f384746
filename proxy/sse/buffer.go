package sse

// makeRoom sees to it that at least a quarter of the buffer is free, as far as the bounds allow, and reports whether
// any of it is. Bytes move only when events before them are gone, hence at most once while their event is unfinished.
func (f *Framer) makeRoom() bool {
	if f.buf == nil {
		f.buf = make([]byte, startBuffer)
	}
	if f.head == f.tail {
		f.shift()
	}
	if len(f.buf)-f.tail >= len(f.buf)/4 {
		return true
	}
	if f.head > 0 {
		copy(f.buf, f.buf[f.head:f.tail])
		f.shift()
	}
	if len(f.buf)-f.tail < len(f.buf)/4 && len(f.buf) < maxBuffer {
		grown := make([]byte, min(2*len(f.buf), maxBuffer))
		copy(grown, f.buf[:f.tail])
		f.buf = grown
	}
	return f.tail < len(f.buf)
}

// shift makes the positions follow bytes that moved to the front of the buffer.
func (f *Framer) shift() {
	by := f.head
	f.head, f.line, f.tail = 0, f.line-by, f.tail-by
	f.lf, f.cr = max(f.lf-by, 0), max(f.cr-by, 0)
	f.fields.shift(by)
}
