package scan

import (
	"fmt"
	"strings"
	"testing"
)

// small is a request as an SDK writes it, of about 300 bytes.
const small = `{"messages":[{"role":"system","content":"You are a helpful assistant."},` +
	`{"role":"user","content":"What is the capital of France, and how many people live there?"}],` +
	`"model":"gemini-2.5-flash-lite","stream":true,"stream_options":{"include_usage":true},` +
	`"temperature":0.7,"max_tokens":1024,"n":1}`

// conversation is a request with so many bytes of text, in turns of the given text.
func conversation(size int, text string) []byte {
	var b strings.Builder
	b.WriteString(`{"model":"gemini-2.5-flash-lite","stream":true,"messages":[{"role":"system","content":"Be brief."}`)
	for b.Len() < size {
		b.WriteString(`,{"role":"user","content":"`)
		for n := b.Len() + 2000; b.Len() < n; {
			b.WriteString(text)
		}
		b.WriteString(`"}`)
	}
	b.WriteString(`]}`)
	return []byte(b.String())
}

// looseBody is a request with nearly as many loose members as are taken, each as short as can be.
func looseBody() []byte {
	return []byte(`{"model":"m","messages":[{"role":"user"` + strings.Repeat(`,"x":1`, 32760) + `}]}`)
}

const (
	english = `The quick brown fox jumps over the lazy dog.\nIt said: \"well\", and left. `
	korean  = `빠른 갈색 여우가 게으른 개를 뛰어넘었다.\n`
)

func BenchmarkParse(b *testing.B) {
	f := func(name string, body []byte) {
		b.Run(fmt.Sprintf("%s/%dB", name, len(body)), func(b *testing.B) {
			var d Document
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := d.Parse(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	f("small", []byte(small))
	f("agent", []byte(toolUse))
	f("english", conversation(1<<10, english))
	f("english", conversation(100<<10, english))
	f("korean", conversation(100<<10, korean))
	f("english", conversation(1<<20, english))
	f("image", []byte(`{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,`+
		strings.Repeat("iVBORw0KGgo", 100<<10)+`"}}]}]}`))
	f("loose", looseBody())
	tools := strings.Repeat(`{"type":"function","function":{"name":"get_weather","description":"The weather in a city.","parameters":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer","minimum":1,"maximum":14}},"required":["city"]}}},`, 400)
	f("tools", []byte(`{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[`+strings.TrimSuffix(tools, ",")+`]}`))
}

func BenchmarkRewrite(b *testing.B) {
	f := func(name string, body []byte) {
		b.Run(fmt.Sprintf("%s/%dB", name, len(body)), func(b *testing.B) {
			var d Document
			if err := d.Parse(body); err != nil {
				b.Fatal(err)
			}
			edits := []Edit{{Member: d.Index("model"), Value: []byte(`"gemini-2.0-flash"`)}}
			var dst []byte
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				dst = d.Rewrite(dst[:0], Revision{Edits: edits})
			}
		})
	}
	f("small", []byte(small))
	f("english", conversation(100<<10, english))
}

func BenchmarkAppendSplices(b *testing.B) {
	f := func(name string, body []byte) {
		b.Run(fmt.Sprintf("%s/%dB", name, len(body)), func(b *testing.B) {
			var d Document
			if err := d.Parse(body); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				_ = d.AppendSplices(nil, func(*Loose) LooseAction { return LooseRemove })
			}
		})
	}
	f("agent", []byte(toolUse))
	f("loose", looseBody())
}
