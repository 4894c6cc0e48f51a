package client

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keytray/keytray/object"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

func FuzzCodex(f *testing.F) {
	fuzz(f, codex,
		`{"auth_mode":"chatgpt","OPENAI_API_KEY":"sk","tokens":{"id_token":"i","access_token":"a","refresh_token":"r","oauth_provenance":{"issuer":"https://auth.openai.com","client_id":"c"},"account_id":"1"},"last_refresh":"x"}`,
		`{"auth_mode":"apikey","OPENAI_API_KEY":"sk","personal_access_token":"at-1"}`)
}

func FuzzClaude(f *testing.F) {
	fuzz(f, claude,
		`{"claudeAiOauth":{"accessToken":"a","refreshToken":"r","expiresAt":1795401128149,"scopes":["s"]},"mcpOAuth":{}}`,
		`{"claudeAiOauth":{"accessToken":"a","expiresAt":null}}`)
}

func FuzzOpenClaw(f *testing.F) {
	fuzz(f, openclaw,
		`{"version":1,"profiles":{"a:1":{"type":"oauth","provider":"a","access":"a","refresh":"r","expires":1e12,"clientId":"c"},"b":{"mode":"api_key","provider":"b","apiKey":"k"}},"order":{}}`,
		`{"profiles":{"c":{"type":"token","provider":"c","token":"sk-ant-oat01-t","tokenRef":{}}}}`)
}

func FuzzLegacy(f *testing.F) {
	fuzz(f, legacy, `{"openai-codex":{"access":"a","refresh":"r","expires":1},"x":{"access":"a"}}`)
}

func FuzzPi(f *testing.F) {
	fuzz(f, pi, `{"openai-codex":{"type":"oauth","access":"a","refresh":"r","expires":1,"accountId":"x"},"b":{"type":"api_key","key":"k"},"c":{"type":"api_key","key":"!x"}}`)
}

func FuzzOpencode(f *testing.F) {
	fuzz(f, opencode, `{"openai":{"type":"oauth","refresh":"r","access":"a","expires":1},"b":{"type":"api","key":"k"},"c":{"type":"wellknown","key":"k","token":"t"}}`)
}

// fuzz feeds a program's form with whatever a file may hold. Either it is refused
// as a whole, or each login can be taken out so that it is gone, nothing else has
// changed, and the result is a file of that form again.
func fuzz(f *testing.F, program string, seeds ...string) {
	f.Helper()
	for _, s := range append(seeds, `{}`, `{"a":{"a":1},"a":2}`, "{\"\xff\":1}", `{"tokens":null}`, "{\n}\n") {
		f.Add([]byte(s))
	}
	form, err := Source{Program: program}.form()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		top, err := object.ParseStrict(b)
		if err != nil {
			return
		}
		logins, err := form.logins(top)
		if err != nil {
			return
		}
		for _, l := range logins {
			if !l.whole() {
				continue
			}
			for _, bare := range []bool{false, program == openclaw} {
				checkStripped(t, form, logins, l, form.strip(top, l, bare), b)
			}
		}
		if again, err := object.ParseStrict(b); err != nil || !again.Equal(top) {
			t.Errorf("taking a login out changed what was read of %q", b)
		}
	})
}

func checkStripped(t *testing.T, f form, before []Login, l Login, next object.JSON, old []byte) {
	t.Helper()
	if next == nil {
		if slices.ContainsFunc(before, func(o Login) bool { return o.Name != l.Name && o.whole() }) {
			t.Errorf("%q would be removed", old)
		}
		return
	}
	text, err := next.EncodeLike(old)
	if err != nil || !json.Valid(text) {
		t.Fatalf("without %q the file is %q, %v", l.Name, text, err)
	}
	parsed, err := object.ParseStrict(text)
	if err != nil {
		t.Fatalf("without %q the file is %q: %v", l.Name, text, err)
	}
	after, err := f.logins(parsed)
	if err != nil {
		t.Fatalf("without %q the file is %q: %v", l.Name, text, err)
	}
	if left, err := pick(after, l.Name); err == nil && l.Kind == sink.KindOAuth && !left.Refresh.Empty() {
		t.Errorf("%q is still in %q", l.Name, text)
	} else if err == nil && l.Kind != sink.KindOAuth && !left.Access.Empty() {
		t.Errorf("%q is still in %q", l.Name, text)
	}
	for _, other := range before {
		if other.Name == l.Name {
			continue
		}
		if now, err := pick(after, other.Name); err != nil || !now.vital().Equal(other.vital()) {
			t.Errorf("without %q, %q has become another in %q", l.Name, other.Name, text)
		}
	}
}

// FuzzSidecar reads what others wrote into a lock: it is stale or not, and never a
// reason to fail.
func FuzzSidecar(f *testing.F) {
	f.Add([]byte(`{"pid":1,"createdAt":"2026-11-23T00:00:00.000Z","starttime":5}`))
	f.Add([]byte(`{"pid":-1}`))
	f.Add([]byte(`{"pid":9223372036854775807}`))
	path := filepath.Join(f.TempDir(), "lock")
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4096 {
			return
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := newSidecarLock(path, 0).removeStale(); err != nil {
			t.Errorf("%q: %v", b, err)
		}
	})
}

// TestErrorsQuoteNoSecret: each member in turn is of a type that it must not be.
func TestErrorsQuoteNoSecret(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{`["CANARY"]`, `{"x":"CANARY"}`, `1e999`, `"CANARY"`, `true`} {
		for _, name := range []string{"access", "refresh", "idToken", "expires", "type", "provider", "clientId", "token", "email"} {
			text := []byte(`{"profiles":{"a:1":{"type":"oauth","provider":"a","access":"CANARY","refresh":"CANARY"}}}`)
			top, err := object.ParseStrict(text)
			if err != nil {
				t.Fatal(err)
			}
			profiles, _ := top.Object("profiles")
			p, _ := profiles.Object("a:1")
			profiles = profiles.Set("a:1", p.Set(name, json.RawMessage(bad)).Encode())
			_, err = openclawForm{}.logins(top.Set("profiles", profiles.Encode()))
			if err != nil && strings.Contains(err.Error(), "CANARY") {
				t.Errorf("%s = %s: %v", name, bad, err)
			}
		}
	}
	if s := (Login{Access: secret.New("CANARY")}); strings.Contains(s.Access.String(), "CANARY") {
		t.Error("a login shows its token")
	}
}
