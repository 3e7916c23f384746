package size

import (
	"testing"

	"pgregory.net/rapid"
)

func TestSizesAreReadAndWritten(t *testing.T) {
	f := func(text string, want Bytes, written string) {
		t.Helper()
		var got Bytes
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %d, want %d (%v)", text, got, want, err)
		}
		if got.String() != written {
			t.Errorf("%q is written %q, want %q", text, got, written)
		}
	}
	f("0", 0, "0")
	f("512", 512, "512")
	f("1024", 1<<10, "1KiB")
	f("1536", 1536, "1536")
	f(" 64KiB ", 64<<10, "64KiB")
	f("20 MiB", 20<<20, "20MiB")
	f("2GiB", 2<<30, "2GiB")
	f("1KB", 1000, "1000")
	f("1MB", 1e6, "1000000")
	f("128GB", 128e9, "125000000KiB")
	f("1024GiB", Most, "1024GiB")
}

func TestWhatIsNoSize(t *testing.T) {
	f := func(text string) {
		t.Helper()
		b := Bytes(7)
		err := b.UnmarshalText([]byte(text))
		if err == nil || b != 7 {
			t.Fatalf("%q is taken for %d", text, b)
		}
		want := `"` + text + `" is not a size: write a whole number of bytes with an optional unit such as 64KiB or 20MiB, at most 1024GiB`
		if err.Error() != want {
			t.Errorf("%q:\n got %s\nwant %s", text, err, want)
		}
	}
	f("")
	f("-1")
	f("-0")
	f("+64KiB")
	f("1.5MiB")
	f("MiB")
	f("20mib")
	f("1TiB")
	f("1025GiB")
	f("1099511627777")
	f("9223372036854775807GiB")
	f("99999999999999999999")
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Bytes(rapid.Int64Range(0, int64(Most)).Draw(t, "bytes"))
		text, _ := want.MarshalText()
		var got Bytes
		if err := got.UnmarshalText(text); err != nil || got != want {
			t.Fatalf("%d is written %s and read as %d (%v)", want, text, got, err)
		}
	})
}
