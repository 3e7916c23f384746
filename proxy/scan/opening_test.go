package scan

import "testing"

// TestOpening is what conversations have in common that began alike.
func TestOpening(t *testing.T) {
	f := func(messages, want string) {
		t.Helper()
		body := []byte(`{"model":"m","messages":` + messages + `,"stream":true}`)
		var d Document
		if err := d.Parse(body); err != nil {
			t.Fatalf("%s: %v", messages, err)
		}
		if got := string(body[d.Opening.Start:d.Opening.End]); got != want {
			t.Errorf("%s opens with %s, want %s", messages, got, want)
		}
	}
	const system, user, assistant, more = `{"role":"system","content":"S"}`, `{ "content": "U", "role": "user" }`, `{"role":"assistant","content":"A"}`, `{"role":"user","content":"more"}`
	f(`[`+user+`]`, user)
	f(`[ `+user+` , `+assistant+`,`+more+`]`, user)
	f(`[`+system+`,`+user+`,`+assistant+`,`+more+`]`, system+`,`+user)
	f(`[`+system+`, {"role":"developer","content":"D"}, `+user+`,`+more+`]`, system+`, {"role":"developer","content":"D"}, `+user)
	f(`[`+system+`,`+assistant+` ]`, system+`,`+assistant)
	f(`[{"role":"\u0075ser","content":"escaped"},`+more+`]`, `{"role":"\u0075ser","content":"escaped"}`)
}
