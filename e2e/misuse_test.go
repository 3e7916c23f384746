package e2e

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// misused sends what clients should not: secrets at wrong places, wrong secrets,
// and requests that break in every stage of reading them.
func (f *fleet) misused(t *testing.T, told *told, secret, revoked string) {
	t.Helper()
	client := f.bare(t)
	good := question("gemini-flash", promptCanary)
	stranger := unknownSecret()
	for _, w := range []wish{
		{secret: revoked, body: good},
		{secret: stranger, body: good},
		{secret: secret + "x", body: good},
		{body: good},
		{body: good, header: http.Header{"Authorization": {secret}}},
		{body: good, header: http.Header{"Authorization": {"Basic " + secret}}},
		{body: good, header: http.Header{"Authorization": {"Bearer " + secret, "Bearer " + revoked}}},
		{body: good, header: http.Header{"X-Api-Key": {secret}, "Api-Key": {stranger}, "Cookie": {"key=" + revoked}}},
		{body: good, secret: secret, header: http.Header{"X-Anything": {secret}, "Baggage": {"key=" + secret}}},
		{body: good, secret: secret, path: "/v1/chat/completions?key=" + secret},
		{body: good, secret: secret, path: "/v1/chat/completions?prompt=" + strings.ReplaceAll(promptCanary, " ", "%20")},
		{body: good, secret: secret, path: "/" + secret + "/v1/chat/completions"},
		{method: "GET", secret: secret, path: "/v1/models/" + secret},
		{method: "GET", secret: secret, path: "/v1/usage?from=" + secret},
		{method: "GET", secret: secret, path: "/v1/usage?" + secret + "=1"},
		{method: "GET", secret: secret, path: "/v1/models", body: good},
		{method: "PUT", secret: secret, body: good},
		{secret: secret, body: question(secret, promptCanary)},
		{secret: secret, body: question("gpt-5", promptCanary)},
		{secret: secret, body: promptCanary},
		{secret: secret, body: good[:len(good)-5]},
		{secret: secret, body: good + promptCanary},
		{secret: secret, body: `{"temperature":"` + promptCanary + `",` + good[1:]},
		{secret: secret, body: `{"stream":"` + secret + `",` + good[1:]},
		{secret: secret, body: `{"model":"` + promptCanary + `",` + good[1:]},
		{secret: secret, body: `{"seed":1,` + question("gemini-2.0-flash", promptCanary)[1:]},
		{secret: secret, body: strings.Replace(good, "canary", "canary\x00\xff\xfe", 1)},
		{secret: secret, body: `{"messages":` + strings.Repeat("[", 5000) + promptCanary},
		{secret: secret, body: question("gemini-flash", strings.Repeat(promptCanary, 10_000))},
		{secret: secret, body: good, header: http.Header{"Content-Encoding": {secret}}},
		{secret: secret, body: good, header: http.Header{"X-Long": {strings.Repeat(secret, 1000)}}},
	} {
		r := client.send(t.Context(), w)
		if r.status != http.StatusOK && (r.status < 400 || r.status > 499) {
			t.Errorf("%s %s is answered %s", w.method, w.path, r)
		}
		told.hear(r, &told.other)
	}
	for _, text := range malformed(secret) {
		answer := sendRaw(t, f.url, text)
		told.headers.WriteString(answer)
		told.other.WriteString(answer)
	}
}

// malformed are requests that net/http would not send.
func malformed(secret string) []string {
	const post = "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\n"
	authorized := post + "Authorization: Bearer " + secret + "\r\n"
	return []string{
		secret + " " + promptCanary + "\r\n\r\n",
		"GET /v1/models HTTP/9.9\r\nHost: gateway\r\nAuthorization: Bearer " + secret + "\r\n\r\n",
		"GET http://" + secret + "@gateway/v1/models HTTP/1.1\r\nHost: gateway\r\n\r\n",
		secret + " /v1/models HTTP/1.1\r\nHost: gateway\r\n\r\n",
		"GET /v1/models HTTP/1.1\r\nHost: " + secret + "\r\nAuthorization Bearer " + secret + "\r\n\r\n",
		"GET /v1/models HTTP/1.1\r\nHost: gateway\r\nX-A: a\r\n " + secret + "\r\n\r\n",
		"GET /v1/models HTTP/1.1\r\nHost: gateway\r\nX-A: \x00" + secret + "\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + secret,
		authorized + "Content-Length: " + secret + "\r\n\r\n" + promptCanary,
		authorized + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + promptCanary,
		authorized + "Content-Length: 10000\r\n\r\n" + promptCanary,
		authorized + "Transfer-Encoding: " + secret + "\r\n\r\n" + promptCanary,
		authorized + "Transfer-Encoding: chunked\r\n\r\n" + promptCanary + "\r\n",
		authorized + "\r\n" + promptCanary,
		authorized + "Expect: " + secret + "\r\nContent-Length: 2\r\n\r\n{}",
	}
}

// sendRaw sends bytes as they are, and returns all that comes back.
func sendRaw(t *testing.T, address, text string) string {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, text)
	_ = conn.(*net.TCPConn).CloseWrite()
	answer, _ := io.ReadAll(conn) // a connection that is reset has nothing more to say
	return string(answer)
}

// misoperated does what operators should not: it shows secrets to the operators'
// API where they do not belong.
func (f *fleet) misoperated(t *testing.T, told *told, secret, token string) {
	t.Helper()
	admin := f.bare(t)
	admin.url = f.admin
	for _, w := range []wish{
		{method: "GET", path: "/admin/v1/keys"},
		{method: "GET", path: "/admin/v1/keys", secret: secret},
		{method: "GET", path: "/admin/v1/keys", secret: token + "x"},
		{method: "GET", path: "/admin/v1/keys?token=" + token},
		{method: "GET", path: "/" + token},
		{method: "GET", path: "/admin/v1/keys/" + secret, secret: token},
		{method: "DELETE", path: "/admin/v1/keys/" + secret, secret: token},
		{method: "GET", path: "/admin/v1/requests/" + secret, secret: token},
		{method: "GET", path: "/admin/v1/usage?token=" + token, secret: token},
		{method: "PUT", path: "/admin/v1/keys", secret: token, body: secret},
		{method: "POST", path: "/admin/v1/keys", secret: token, body: secret},
		{method: "POST", path: "/admin/v1/keys", secret: token, body: `{"tenant":"` + secret},
		{method: "POST", path: "/admin/v1/keys", secret: token, body: `{"secret":"` + secret + `"}`},
		{method: "POST", path: "/admin/v1/keys", secret: token, body: `{"tenant":{"token":"` + token + `"},"name":1}`},
	} {
		r := admin.send(t.Context(), w)
		if r.status < 400 || r.status > 499 {
			t.Errorf("%s %s is answered %s", w.method, w.path, r)
		}
		told.operators.WriteString(r.body)
		_ = r.header.Write(&told.operators)
	}
	for _, text := range malformed(token) {
		told.operators.WriteString(sendRaw(t, f.admin, text))
	}
	for _, args := range [][]string{
		{"keys", "show", secret}, {"keys", "revoke", secret}, {"request", secret}, {"keys", "create", "--tenant", "acme"},
	} {
		code, p := f.run(t, args...)
		if code == 0 {
			t.Errorf("%v: it worked: %s", args, p.stdout.String())
		}
		told.operator(code, p)
	}
	for _, flags := range [][]string{
		{"--admin", "http://" + token + "@" + strings.TrimPrefix(f.admin, "http://")},
		{"--admin", "http://127.0.0.1:9/" + token},
		{"--data-dir", t.TempDir()},
	} {
		p := launch(t, environment{"TOLLGATE_ADMIN_TOKEN": token + "x"}, append([]string{"keys", "list", "--wait", "0s"}, flags...)...)
		told.operator(p.exit(t, patience), p)
	}
}
