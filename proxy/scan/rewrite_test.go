package scan

import (
	"encoding/json"
	"testing"
)

func TestRewrite(t *testing.T) {
	// Each edit is the name of a member and its new value; no value removes it.
	type edit [2]string
	f := func(body string, edits []edit, appended []string, want string) {
		t.Helper()
		var d Document
		if err := d.Parse([]byte(body)); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		var list []Edit
		for _, e := range edits {
			one := Edit{Member: d.Index(e[0])}
			if e[1] != "" {
				one.Value = []byte(e[1])
			}
			list = append(list, one)
		}
		var members [][]byte
		for _, m := range appended {
			members = append(members, []byte(m))
		}
		if got := string(d.Rewrite([]byte("dst:"), Revision{Edits: list, Appended: members})); got != "dst:"+want {
			t.Errorf("%s\n got %s\nwant dst:%s", body, got, want)
		}
	}
	const (
		msgs    = `"messages":[{"role":"user"}]`
		compact = `{"model":"m",` + msgs + `,"a":1,"n":2}`
		spaced  = "\n{ \"model\" : \"m\" ,\n\t" + msgs + " , \"a\":1\t,\r\n\"n\" : 2 }\n "
		usage   = `"stream_options":{"include_usage":true}`
	)
	f(compact, nil, nil, compact)
	f(spaced, nil, nil, spaced)

	// Replaced: first, middle, last, several; only the value changes.
	f(compact, []edit{{"model", `"x"`}}, nil, `{"model":"x",`+msgs+`,"a":1,"n":2}`)
	f(compact, []edit{{"a", `{}`}}, nil, `{"model":"m",`+msgs+`,"a":{},"n":2}`)
	f(compact, []edit{{"n", `null`}}, nil, `{"model":"m",`+msgs+`,"a":1,"n":null}`)
	f(compact, []edit{{"n", `9`}, {"model", `"x"`}}, nil, `{"model":"x",`+msgs+`,"a":1,"n":9}`)
	f(spaced, []edit{{"model", `"x"`}, {"n", "9"}}, nil, "\n{ \"model\" : \"x\" ,\n\t"+msgs+" , \"a\":1\t,\r\n\"n\" : 9 }\n ")

	// Removed: first, middle, last, neighbours, all.
	f(compact, []edit{{"model", ""}}, nil, `{`+msgs+`,"a":1,"n":2}`)
	f(compact, []edit{{"a", ""}}, nil, `{"model":"m",`+msgs+`,"n":2}`)
	f(compact, []edit{{"n", ""}}, nil, `{"model":"m",`+msgs+`,"a":1}`)
	f(compact, []edit{{"n", ""}, {"a", ""}}, nil, `{"model":"m",`+msgs+`}`)
	f(compact, []edit{{"model", ""}, {"messages", ""}, {"a", ""}}, nil, `{"n":2}`)
	f(compact, []edit{{"model", ""}, {"messages", ""}, {"a", ""}, {"n", ""}}, nil, `{}`)
	f(spaced, []edit{{"model", ""}}, nil, "\n{ "+msgs+" , \"a\":1\t,\r\n\"n\" : 2 }\n ")
	f(spaced, []edit{{"a", ""}}, nil, "\n{ \"model\" : \"m\" ,\n\t"+msgs+"\t,\r\n\"n\" : 2 }\n ")
	f(spaced, []edit{{"n", ""}}, nil, "\n{ \"model\" : \"m\" ,\n\t"+msgs+" , \"a\":1 }\n ")
	f(spaced, []edit{{"model", ""}, {"messages", ""}, {"a", ""}, {"n", ""}}, nil, "\n{  }\n ")

	// Appended, alone and with edits.
	f(compact, nil, []string{usage}, `{"model":"m",`+msgs+`,"a":1,"n":2,`+usage+`}`)
	f(compact, []edit{{"n", ""}}, []string{usage, `"b":3`}, `{"model":"m",`+msgs+`,"a":1,`+usage+`,"b":3}`)
	f(spaced, nil, []string{usage}, "\n{ \"model\" : \"m\" ,\n\t"+msgs+" , \"a\":1\t,\r\n\"n\" : 2,"+usage+" }\n ")
	f(compact, []edit{{"model", ""}, {"messages", ""}, {"a", ""}, {"n", ""}}, []string{`"b":3`, `"c":4`}, `{"b":3,"c":4}`)

	// The first of two edits for one member counts.
	f(compact, []edit{{"a", "5"}, {"a", ""}}, nil, `{"model":"m",`+msgs+`,"a":5,"n":2}`)
	// A name's own spelling stays.
	f(`{"mod\u0065l":"m",`+msgs+`}`, []edit{{"model", `"x"`}}, nil, `{"mod\u0065l":"x",`+msgs+`}`)
}

func TestRewriteAllocatesNothingWithRoom(t *testing.T) {
	var d Document
	if err := d.Parse([]byte(small)); err != nil {
		t.Fatal(err)
	}
	dst := make([]byte, 0, 1024)
	edits := []Edit{{Member: d.Index("model"), Value: []byte(`"x"`)}, {Member: d.Index("n")}}
	usage := []byte(`"user":"x"`)
	if n := testing.AllocsPerRun(100, func() { dst = d.Rewrite(dst[:0], Revision{Edits: edits, Appended: [][]byte{usage}}) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// A document that was never parsed has nothing to rewrite.
func TestRewriteOfTheZeroDocument(t *testing.T) {
	var d Document
	if got := d.Rewrite([]byte("x"), Revision{Edits: []Edit{{}}, Appended: [][]byte{[]byte(`"a":1`)}}); string(got) != "x" {
		t.Errorf("got %q, want x", got)
	}
}

func TestAppendString(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		got := AppendString([]byte("dst:"), s)
		if string(got) != "dst:"+want {
			t.Errorf("%q\n got %s\nwant dst:%s", s, got, want)
		}
		if !json.Valid(got[len("dst:"):]) {
			t.Errorf("%q: %s is not valid JSON", s, got)
		}
	}
	f("", `""`)
	f("gemini-2.5-flash-lite", `"gemini-2.5-flash-lite"`)
	f(`a"b\c/d`, `"a\"b\\c/d"`)
	f("a\n\x00\x1f\x7f", `"a\u000a\u0000\u001f`+"\x7f"+`"`)
	f("é😀\u2028<", "\"é😀\u2028<\"")
	f("a\xffb\xed\xa0\x80", "\"a\ufffdb\ufffd\ufffd\ufffd\"")
}
