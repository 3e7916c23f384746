package sse

// fields are what the lines of one event have said so far. The positions are those of the Framer's buffer.
type fields struct {
	lines            int // data lines so far
	dataFrom, dataTo int // the value of the first of them
	named            bool
	nameFrom, nameTo int    // the value of the last event field
	joined           []byte // all data values, when there are several
}

// take reads the field in buf[start:end]. Only data and event have a meaning for a relay: ids and retry delays are for
// whoever would reconnect, and no provider lets one reconnect to an answer.
func (p *fields) take(buf []byte, start, end int) {
	if start == end {
		return
	}
	switch buf[start] {
	case 'd':
		if skip, ok := valueOf(buf[start:end], "data"); ok {
			p.addData(buf, start+skip, end)
		}
	case 'e':
		if skip, ok := valueOf(buf[start:end], "event"); ok {
			p.named, p.nameFrom, p.nameTo = true, start+skip, end
		}
	}
}

// valueOf returns where the value of the named field starts in its line: after the colon and one optional space, or at
// the end of a line that is nothing but the name.
func valueOf(line []byte, name string) (int, bool) {
	n := len(name)
	if len(line) < n || string(line[:n]) != name {
		return 0, false
	}
	switch {
	case len(line) == n:
		return n, true
	case line[n] != ':':
		return 0, false
	case len(line) > n+1 && line[n+1] == ' ':
		return n + 2, true
	}
	return n + 1, true
}

func (p *fields) addData(buf []byte, from, to int) {
	p.lines++
	if p.lines == 1 {
		p.dataFrom, p.dataTo = from, to
		return
	}
	if p.lines == 2 {
		p.joined = append(p.joined[:0], buf[p.dataFrom:p.dataTo]...)
	}
	p.joined = append(p.joined, '\n')
	p.joined = append(p.joined, buf[from:to]...)
}

func (p *fields) data(buf []byte) []byte {
	switch p.lines {
	case 0:
		return nil
	case 1:
		return buf[p.dataFrom:p.dataTo:p.dataTo]
	}
	return p.joined
}

func (p *fields) name(buf []byte) []byte {
	if !p.named {
		return nil
	}
	return buf[p.nameFrom:p.nameTo:p.nameTo]
}

func (p *fields) reset() { p.lines, p.named = 0, false }

func (p *fields) shift(by int) {
	p.dataFrom, p.dataTo = p.dataFrom-by, p.dataTo-by
	p.nameFrom, p.nameTo = p.nameFrom-by, p.nameTo-by
}
