// Package size answers one question: how many bytes is 20MiB? It stands on the
// floor beside telemetry: any package may import it, and it imports none of ours.
package size

import (
	"fmt"
	"strconv"
	"strings"
)

// Bytes is a number of bytes, written in config.yaml as a whole number with an
// optional unit: 512, 64KiB, 20MiB, 2GiB, or the decimal KB, MB, GB.
type Bytes int64

// Most is the largest size that text can say, 1 TiB: it keeps every size an int
// and every sum of two of them far from overflow.
const Most Bytes = 1 << 40

// String renders the size with the largest binary unit that divides it.
func (b Bytes) String() string {
	for _, u := range units() {
		if u.binary && b >= u.factor && b%u.factor == 0 {
			return strconv.FormatInt(int64(b/u.factor), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalText implements encoding.TextMarshaler.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It refuses signs,
// unknown units and anything beyond Most.
func (b *Bytes) UnmarshalText(text []byte) error {
	const spaces = " \t\r\n"
	in := strings.Trim(string(text), spaces)
	digits, factor := in, Bytes(1)
	for _, u := range units() {
		if strings.HasSuffix(in, u.name) {
			digits, factor = strings.TrimRight(strings.TrimSuffix(in, u.name), spaces), u.factor
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63) // which takes no sign
	if err != nil || Bytes(n) > Most/factor {
		return fmt.Errorf("%q is not a size: write a whole number of bytes with an optional unit such as 64KiB or 20MiB, at most %s", in, Most)
	}
	*b = Bytes(n) * factor
	return nil
}

type unit struct {
	name   string
	factor Bytes
	binary bool
}

func units() [6]unit {
	return [6]unit{
		{"GiB", 1 << 30, true},
		{"MiB", 1 << 20, true},
		{"KiB", 1 << 10, true},
		{"GB", 1e9, false},
		{"MB", 1e6, false},
		{"KB", 1e3, false},
	}
}
