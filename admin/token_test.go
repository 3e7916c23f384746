package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"tollgate/telemetry"
)

func TestConfiguredTokenWins(t *testing.T) {
	dir := t.TempDir()
	token, err := loadToken(Config{Token: testToken}, dir)
	if err != nil || token != testToken {
		t.Errorf("got %q, %v", token.Reveal(), err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("a configured token left %v, %v", files, err)
	}
}

func TestTokenIsMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := ReadToken(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before serve: %v, want fs.ErrNotExist", err)
	}
	first, err := loadToken(Config{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9A-Za-z]{38,43}$`).MatchString(first.Reveal()) {
		t.Errorf("%d characters are no token", len(first))
	}
	second, err := loadToken(Config{}, dir)
	if err != nil || second != first {
		t.Errorf("the second start has another token: %v", err)
	}
	read, err := ReadToken(dir)
	if err != nil || read != first {
		t.Errorf("the command line finds another token: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, "admin-token"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("left behind: %v, %v", files, err)
	}
	other, err := loadToken(Config{}, t.TempDir())
	if err != nil || other == first {
		t.Errorf("two folders have one token: %v", err)
	}
}

func TestTokenIsMadeOnceByMany(t *testing.T) {
	dir := t.TempDir()
	var tokens [8]telemetry.Secret
	var group sync.WaitGroup
	for i := range tokens {
		group.Go(func() {
			var err error
			if tokens[i], err = loadToken(Config{}, dir); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, token := range tokens {
		if token != tokens[0] {
			t.Error("two callers got two tokens")
		}
	}
}

func TestBadTokenFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "admin-token")
	f := func(content, want string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		token, err := loadToken(Config{}, dir)
		if got := strings.ReplaceAll(fmt.Sprint(err), path, "PATH"); got != want {
			t.Errorf("%q: got %q, %s\nwant %s", content, token.Reveal(), got, want)
		}
	}
	f("0123456789abcdef", "<nil>")
	f(" 0123456789abcdef\r\n", "<nil>")
	f("", "admin.token: PATH holds 0 characters, a token has at least 16: delete the file, and serve makes a new one")
	f("short-canary\n", "admin.token: PATH holds 12 characters, a token has at least 16: delete the file, and serve makes a new one")

	_, err := loadToken(Config{}, filepath.Join(path, "sub"))
	if err == nil || !strings.Contains(err.Error(), "admin.token: cannot") {
		t.Errorf("got %v", err)
	}
}

func TestConfig(t *testing.T) {
	f := func(c Config, want string) {
		t.Helper()
		if err := c.Validate(); fmt.Sprint(err) != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	f(DefaultConfig(), "<nil>")
	f(Config{Listen: ":0", Token: testToken}, "<nil>")
	f(Config{Listen: ":0", Token: testToken + "\n"}, "admin.token: must be printable ASCII without spaces; does its file end with a line break?")
	f(Config{Listen: "8081", Token: "short-canary"},
		`admin.listen: must be host:port such as "127.0.0.1:8081", got "8081"`+"\n"+"admin.token: must be at least 16 characters, got 12")

	named := func(names ...string) Config {
		c := Config{Listen: ":0", Token: testToken, Tokens: map[string]telemetry.Secret{}}
		for _, name := range names {
			c.Tokens[name] = telemetry.Secret("token-canary-of-" + name)
		}
		return c
	}
	f(named("alice", "ci", "team-a.deploy_2", strings.Repeat("a", 32)), "<nil>")
	const want = `admin.tokens: a name must be 1 to 32 of a-z, 0-9, ".", "_" and "-", got `
	f(named("Alice"), want+`"Alice"`)
	f(named("a b"), want+`"a b"`)
	f(named(""), want+`""`)
	f(named(strings.Repeat("a", 33)), want+"33 characters")
	f(named("Zq8kP0aLx2Vn7TtR4w"), want+"18 characters") // it may be a token
	f(named("admin"), "admin.tokens: the name admin is that of admin.token, or of the one in data_dir/admin-token: choose another")
	f(named("tollgate"), "admin.tokens: the name tollgate is that of the gateway itself, which repairs what a store has lost: choose another")
	c := named("alice", "bob")
	c.Tokens["alice"], c.Tokens["carol"], c.Tokens["dave"], c.Tokens["eve"] = testToken, c.Tokens["bob"], "short", "token-canary\n-of-eve"
	f(c, strings.Join([]string{
		"admin.tokens.alice: must not be admin.token, too: the audit could not tell them apart",
		"admin.tokens.carol: must not be admin.tokens.bob, too: the audit could not tell them apart",
		"admin.tokens.dave: must be at least 16 characters, got 5",
		"admin.tokens.eve: must be printable ASCII without spaces; does its file end with a line break?",
	}, "\n"))
	c = named("alice")
	c.Tokens["alice"] = ""
	f(c, "admin.tokens.alice: must be at least 16 characters, got 0")
}

func TestLoadTokens(t *testing.T) {
	dir := t.TempDir()
	got, err := LoadTokens(Config{Token: testToken, Tokens: map[string]telemetry.Secret{"zoe": "zoe-token-canary", "alice": aliceToken}}, dir)
	if want := []NamedToken{{"admin", testToken}, {"alice", aliceToken}, {"zoe", "zoe-token-canary"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%d tokens, %v", len(got), err)
	}
	got, err = LoadTokens(Config{Tokens: map[string]telemetry.Secret{"alice": aliceToken}}, dir)
	if err != nil || len(got) != 2 || got[0].Name != "admin" || got[1].Token != aliceToken {
		t.Fatalf("%v, %v", got, err)
	}
	_, err = LoadTokens(Config{Tokens: map[string]telemetry.Secret{"alice": got[0].Token}}, dir)
	if want := "admin.tokens.alice: must not be the token of admin, too: the audit could not tell them apart"; fmt.Sprint(err) != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
