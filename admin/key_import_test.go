package admin

import (
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"tollgate/keys"
)

// foreign is a secret that somebody else has made.
const foreign = "foreign-secret-canary-0123456789abcdef-wxyz"

func TestImport(t *testing.T) {
	h := newHouse(t)
	body := `{"tenant":"acme","name":"old","models":["a"],"secret_sha256":"` + hashOf(foreign) + `","last4":"wxyz"}`
	const imported = `{"id":"ID","tenant":"acme","name":"old","last4":"LAST","state":"active","models":["a"],"cidrs":[],` +
		unlimited + `,"disabled":false,"created_at":"NOW","version":0}`
	first := h.send("POST", "/admin/v1/keys", body)
	h.want(first, 201, imported)
	if !strings.Contains(first.Body.String(), `"last4":"wxyz"`) {
		t.Errorf("got %s", first.Body)
	}
	id := regexp.MustCompile(`key_\w+`).FindString(first.Body.String())
	if got, err := h.opens(foreign); err != nil || got != id {
		t.Errorf("the imported secret does not open its key: %v, %v", got, err)
	}

	time.Sleep(2 * time.Millisecond) // the moment of creation is kept to the millisecond
	again := h.send("POST", "/admin/v1/keys", body)
	if h.want(again, 200, imported); again.Body.String() != first.Body.String() {
		t.Errorf("importing again gave another key:\n%s%s", first.Body, again.Body)
	}
	upper := strings.Replace(body, hashOf(foreign), strings.ToUpper(hashOf(foreign)), 1)
	h.want(h.send("POST", "/admin/v1/keys", upper), 200, imported)
	h.want(h.send("POST", "/admin/v1/keys", strings.Replace(body, `"old"`, `"new"`, 1)), 409,
		refused("key exists already: ID has this secret, and differs in name: update it, or repeat the import as it was", "secret_sha256", "key_exists"))
	h.want(h.send("POST", "/admin/v1/keys", strings.Replace(body, `"wxyz"`, `"wxy"`, 1)), 409,
		refused("key exists already: ID has this secret, and differs in last4: update it, or repeat the import as it was", "secret_sha256", "key_exists"))
	h.want(h.send("GET", "/admin/v1/keys", ""), 200, `{"keys":[`+imported+`]}`)
	if w := h.send("GET", "/admin/v1/audit", ""); strings.Count(w.Body.String(), `"version"`) != 1 {
		t.Errorf("what changed nothing is in the audit: %s", w.Body)
	}

	// Whether it was issued is not a matter of clocks.
	h.server.now = func() time.Time { return time.Now().Add(time.Hour) }
	ahead := strings.ReplaceAll(strings.Replace(body, hashOf(foreign), hashOf(foreign+"3"), 1), `"old"`, `"ahead"`)
	if w := h.send("POST", "/admin/v1/keys", ahead); w.Code != 201 {
		t.Errorf("a new import is answered %d %s", w.Code, w.Body)
	}
	h.server.now = func() time.Time { return time.Now().Add(-time.Hour) }
	if w := h.send("POST", "/admin/v1/keys", ahead); w.Code != 200 {
		t.Errorf("a repeated import is answered %d %s", w.Code, w.Body)
	}
	h.server.now = time.Now

	// Tried by several at once, it is issued once.
	other := strings.ReplaceAll(strings.Replace(body, hashOf(foreign), hashOf(foreign+"2"), 1), `"old"`, `"many"`)
	answers := make([]*httptest.ResponseRecorder, 8)
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() { answers[i] = h.send("POST", "/admin/v1/keys", other) })
	}
	group.Wait()
	issued := 0
	for _, w := range answers {
		if w.Code == 201 {
			issued++
		}
		if w.Code != 200 && w.Code != 201 || w.Body.String() != answers[0].Body.String() {
			t.Errorf("%d %swant the answer of the first, %s", w.Code, w.Body, answers[0].Body)
		}
	}
	if issued != 1 {
		t.Errorf("%d of them were answered 201, want 1", issued)
	}
}

// What a caller made just now is a key that was created, in the audit.
func TestCreateWithAMintedSecret(t *testing.T) {
	h := newHouse(t)
	secret := keys.NewSecret().Reveal()
	body := `{"tenant":"acme","name":"ci","secret_sha256":"` + hashOf(secret) + `","last4":"` + secret[37:] + `","minted":true}`
	if w := h.send("POST", "/admin/v1/keys", body); w.Code != 201 || strings.Contains(w.Body.String(), "tg_") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := h.send("POST", "/admin/v1/keys", body); w.Code != 200 {
		t.Errorf("again: %d %s", w.Code, w.Body)
	}
	if _, err := h.opens(secret); err != nil {
		t.Error(err)
	}
	if w := h.send("GET", "/admin/v1/audit", ""); strings.Count(w.Body.String(), `"key.create"`) != 1 || strings.Contains(w.Body.String(), `"key.import"`) {
		t.Errorf("the audit is %s", w.Body)
	}
	bad := refused("minted: must come with secret_sha256 and last4, the last four characters of the secret", "minted", "invalid_value")
	h.want(h.send("POST", "/admin/v1/keys", strings.Replace(body, secret[37:], secret[38:], 1)), 400, bad)
	h.want(h.send("POST", "/admin/v1/keys", `{"tenant":"acme","name":"ci","minted":true}`), 400, bad)
	h.want(h.send("POST", "/admin/v1/keys/key_000000000000/rotate", `{"minted":true}`), 400,
		refused(`unknown field \"minted\": the fields are grace, secret_sha256, last4`, "minted", "invalid_value"))
}

// An import can be repeated although the key has expired meanwhile.
func TestImportAfterItsExpiry(t *testing.T) {
	h := newHouse(t)
	expires := time.Now().Add(50 * time.Millisecond).UTC().Truncate(time.Millisecond)
	body := `{"tenant":"acme","name":"old","expires":"` + expires.Format(time.RFC3339Nano) + `","secret_sha256":"` + hashOf(foreign) + `"}`
	first := h.send("POST", "/admin/v1/keys", body)
	time.Sleep(time.Until(expires) + 5*time.Millisecond)
	again := h.send("POST", "/admin/v1/keys", body)
	if want := strings.Replace(first.Body.String(), `"active"`, `"expired"`, 1); again.Code != 200 || again.Body.String() != want {
		t.Errorf("got  %d %swant %s", again.Code, again.Body, want)
	}
}

func TestRotate(t *testing.T) {
	h := newHouse(t)
	id, first := h.issue(`{"tenant":"acme","name":"ci"}`)
	rotate := func(body string) *httptest.ResponseRecorder {
		t.Helper()
		return h.send("POST", "/admin/v1/keys/"+id+"/rotate", body)
	}
	const (
		begin = `{"id":"ID","secret":"SECRET",`
		key   = `"tenant":"acme","name":"ci","last4":"LAST","state":"active","models":[],"cidrs":[],` + unlimited +
			`,"disabled":false,"created_at":"NOW","updated_at":"NOW","rotated_at":"NOW",`
	)
	w := rotate("")
	h.want(w, 200, begin+key+`"version":0}`)
	second := regexp.MustCompile(`tg_\w+`).FindString(w.Body.String())
	if _, err := h.opens(first); err == nil || second == first {
		t.Error("the former secret works on after a rotation without grace")
	}
	if got, err := h.opens(second); err != nil || got != id {
		t.Errorf("the new secret does not open the key: %v", err)
	}

	imported := `{"grace":"1h30m","secret_sha256":"` + hashOf(foreign) + `","last4":"wxyz"}`
	w = rotate(imported)
	h.want(w, 200, `{"id":"ID",`+key+`"previous_until":"SOON","version":0}`)
	for _, secret := range []string{second, foreign} {
		if got, err := h.opens(secret); err != nil || got != id {
			t.Errorf("within the grace: %v", err)
		}
	}
	if again := rotate(imported); again.Code != 200 || again.Body.String() != w.Body.String() {
		t.Errorf("rotating to the same secret changed the key:\n%s%s", w.Body, again.Body)
	}
	h.want(rotate(`{"secret_sha256":"`+hashOf(second)+`"}`), 409,
		refused("key exists already: this or another key has had the secret: rotate to one that is new", "secret_sha256", "key_exists"))

	for range 70 {
		if w = rotate(`{"grace":"24h"}`); w.Code != 200 {
			break
		}
	}
	h.want(w, 409, refused("too many secrets of the key are in grace: rotate with a shorter grace, which ends them sooner, or wait until one has ended", "grace", "too_many_secrets"))
	h.want(rotate(`{"grace":"0s"}`), 200, begin+key+`"version":0}`)
}

// What is given in place of a hash or of four characters may be the secret: no answer repeats it.
func TestBadSecrets(t *testing.T) {
	h := newHouse(t)
	id, _ := h.issue(`{"tenant":"acme","name":"ci"}`)
	const (
		badHash  = "secret_sha256: must be the SHA-256 of the secret, 64 hexadecimal digits"
		badGrace = `grace: must be a duration such as \"24h\", got `
	)
	f := func(fields, message, param string) {
		t.Helper()
		w := h.send("POST", "/admin/v1/keys", `{"tenant":"acme","name":"ci",`+fields+`}`)
		h.want(w, 400, refused(message, param, "invalid_value"))
		w = h.send("POST", "/admin/v1/keys/"+id+"/rotate", `{`+fields+`}`)
		h.want(w, 400, refused(message, param, "invalid_value"))
	}
	f(`"secret_sha256":"`+foreign+`"`, badHash, "secret_sha256")
	f(`"secret_sha256":"`+hashOf(foreign)[1:]+`"`, badHash, "secret_sha256")
	f(`"secret_sha256":"`+hashOf(foreign)+`00"`, badHash, "secret_sha256")
	f(`"secret_sha256":"`+hashOf(foreign)+`","last4":"`+foreign+`"`, fmt.Sprintf("last4: must be at most the last four characters of the secret, got %d", len(foreign)), "last4")
	f(`"secret_sha256":"`+hashOf(foreign)+`","last4":"a b"`, "last4: must be visible ASCII, as the secret itself", "last4")
	f(`"secret_sha256":"`+hashOf("")+`"`, "secret_sha256: must be the SHA-256 of the secret, got that of nothing: was the variable empty?", "secret_sha256")
	f(`"last4":"wxyz"`, "last4: must come with secret_sha256, the hash of the secret that it is the end of", "last4")
	f(`"secret_sha256":7,"last4":[]`, "secret_sha256: must be a string; last4: must be a string", "secret_sha256")
	f(`"secret_sha256":"tg_`+foreign+`","last4":"tg_`+foreign+`"`, badHash+fmt.Sprintf("; last4: must be at most the last four characters of the secret, got %d", len(foreign)+3), "secret_sha256")

	rotate := func(body, message string) {
		t.Helper()
		h.want(h.send("POST", "/admin/v1/keys/"+id+"/rotate", body), 400, refused(message, "grace", "invalid_value"))
	}
	rotate(`{"grace":"a day"}`, badGrace+`\"a day\"`)
	rotate(`{"grace":"-1s"}`, "grace: must be 0s to 2160h, got -1s")
	rotate(`{"grace":"2161h"}`, "grace: must be 0s to 2160h, got 2161h0m0s")
	rotate(`{"grace":"x","last4":"toolong"}`, badGrace+`\"x\"; last4: must be at most the last four characters of the secret, got 7`)
	rotate(`{"grace":3600}`, "grace: must be a string")
}
