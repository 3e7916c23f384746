package sse

import (
	"encoding/json"
	"strings"
	"testing"
)

func likeJSON(t testing.TB, data []byte) {
	t.Helper()
	if got, want := valid(data), json.Valid(data); got != want {
		t.Errorf("%.200q is valid: %t, want %t", data, got, want)
	}
}

// TestValid holds every prefix of what JSON has, with every byte at its end, against encoding/json.
func TestValid(t *testing.T) {
	whole := ` {"a" : [ 1, -0.5e+7 ,0E-1,12.30, true,false,null, "x\"\\\/\b\f\n\r\t\u00eF\ud800é` + "\x7f\xff" + ` and text of some length é, more than eight bytes" ,{} , [ ] ,[[{"b":{"c":[]}}]]],"":""` + "\t\r\n} "
	if !json.Valid([]byte(whole)) {
		t.Fatal("the text is not valid in the first place")
	}
	for i := range len(whole) + 1 {
		likeJSON(t, []byte(whole[:i]))
		for b := range 256 {
			likeJSON(t, append([]byte(whole[:i]), byte(b)))
			likeJSON(t, append(append([]byte(whole[:i]), byte(b)), whole[i:]...))
			likeJSON(t, append(append([]byte(whole[:i]), byte(b)), whole[min(i+1, len(whole)):]...))
		}
	}
	for _, number := range []string{"", "-", "0", "-0", "00", "01", "1.", ".1", "1.0", "1e", "1e+", "1E-7", "1.5e5", "+1", "--1", "1e1.5", "0x1", "1_0"} {
		likeJSON(t, []byte(number))
		likeJSON(t, []byte("["+number+"]"))
	}
	for _, depth := range []int{1, 63, 64, 65, 128, 9_999, 10_000, 10_001} {
		likeJSON(t, []byte(strings.Repeat("[", depth)+strings.Repeat("]", depth)))
		likeJSON(t, []byte(strings.Repeat(`{"":`, depth)+"0"+strings.Repeat("}", depth)))
		likeJSON(t, []byte(strings.Repeat(`[{"":`, depth/2)+"0"+strings.Repeat("}]", depth/2)))
		likeJSON(t, []byte(strings.Repeat("[", depth)+strings.Repeat("]", depth-1)+"}"))
		likeJSON(t, []byte("[0"+strings.Repeat(`,{"":[]}`, depth)+"]"))
	}
}

// FuzzValid has encoding/json for an oracle.
func FuzzValid(f *testing.F) {
	for _, tr := range transcripts() {
		for line := range strings.Lines(tr.stream) {
			f.Add([]byte(strings.TrimPrefix(line, "data: ")))
		}
	}
	f.Add([]byte(`[1,-0.5e+7,{"a":[{}]},"\u00e9\\"]`))
	f.Fuzz(func(t *testing.T, data []byte) { likeJSON(t, data) })
}
