package provider_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/keytray/keytray/provider"
)

const whole = `// my own server
{
	"id": "acme",
	"name": "Acme",
	"oauth": {
		"issuer": "https://login.acme.test",
		"authorization_endpoint": "https://login.acme.test/authorize?tenant=1",
		"token_endpoint": "https://login.acme.test/token",
		"revocation_endpoint": "https://login.acme.test/revoke", "exchange": {"endpoint": "https://api.acme.test/short", "headers": {"X-Editor": "e/1"}, "token": "token", "expires": "expires_at"}, "userinfo_endpoint": "https://login.acme.test/me", "jwks_uri": "https://login.acme.test/keys", "id_token_signing_alg_values_supported": ["ES256"],
		"authorization_response_iss_parameter_supported": true,
		"client_id": "abc", "token_endpoint_auth_method": "client_secret_post",
		"scopes": ["openid", "offline_access"], /* both */
		"authorization_params": {"prompt": "consent"},
		"redirect": {"host": "localhost", "path": "/cb", "ports": [8085, 8086]},
		"refresh_json": true, "code_json": true, "lead_seconds": 600,
		"identity": {"token": "access_token", "account": ["https://acme.test/x", "id"], "email": ["email"], "plan": ["p"], "required": true},
		"policy": "graceful",
		"allow_http_loopback": true,
	},
}
`

func load(t *testing.T, text string) (provider.Catalog, error) {
	t.Helper()
	return provider.Load(fstest.MapFS{"providers/acme.json": {Data: []byte(text)}}, provider.Builtin())
}

func TestLoadKeepsEveryField(t *testing.T) {
	got, err := load(t, whole)
	if err != nil {
		t.Fatal(err)
	}
	p, ok := got.Find("acme")
	if !ok {
		t.Fatal("acme is not in the catalog")
	}
	want := provider.Provider{ID: "acme", Name: "Acme", OAuth: &provider.OAuth{
		Issuer:                "https://login.acme.test",
		AuthorizationEndpoint: "https://login.acme.test/authorize?tenant=1",
		TokenEndpoint:         "https://login.acme.test/token",
		RevocationEndpoint:    "https://login.acme.test/revoke",
		Exchange:              &provider.Exchange{Endpoint: "https://api.acme.test/short", Headers: map[string]string{"X-Editor": "e/1"}, Token: "token", Expires: "expires_at"},
		UserinfoEndpoint:      "https://login.acme.test/me",
		JWKSURI:               "https://login.acme.test/keys",
		IDTokenAlgs:           []string{"ES256"},
		IssParameter:          true,
		ClientID:              "abc",
		ClientAuth:            provider.SecretPost,
		Scopes:                []string{"openid", "offline_access"},
		AuthorizationParams:   map[string]string{"prompt": "consent"},
		Redirect:              provider.Redirect{Host: "localhost", Path: "/cb", Ports: []int{8085, 8086}},
		CodeJSON:              true,
		RefreshJSON:           true,
		LeadSeconds:           600,
		Identity: provider.Identity{
			Token: "access_token", Account: []string{"https://acme.test/x", "id"},
			Email: []string{"email"}, Plan: []string{"p"}, Required: true,
		},
		Policy:    provider.Graceful,
		AllowHTTP: true,
	}}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v\nwant %+v", *p.OAuth, *want.OAuth)
	}
	if !slices.IsSortedFunc(got, func(a, b provider.Provider) int { return strings.Compare(a.ID, b.ID) }) {
		t.Error("the catalog is not sorted")
	}
}

// TestLoadNamesTheFault changes one thing of a whole file at a time.
func TestLoadNamesTheFault(t *testing.T) {
	tests := []struct {
		name, old, new string
		line           int
		field, problem string
	}{
		{"unknown member", `"name": "Acme"`, `"name": "Acme", "nome": 1`, 4, "nome", "not a member"},
		{"unknown nested member", `"client_id": "abc"`, `"client_secret": "abc"`, 11, "oauth.client_secret", "not a member"},
		{"unknown member of redirect", `"path": "/cb"`, `"path": "/cb", "pth": 1`, 14, "oauth.redirect.pth", "not a member"},
		{"other case", `"id"`, `"ID"`, 3, "ID", "not a member"},
		{"repeated", `"name": "Acme"`, "\"name\": \"Acme\",\n\"name\": \"Acme\"", 5, "name", "twice"},
		{"number for text", `"client_id": "abc"`, `"client_id": 5`, 11, "oauth.client_id", "must be text"},
		{"text for list", `["openid", "offline_access"]`, `"openid"`, 12, "oauth.scopes", "must be a list"},
		{"text for bool", `"refresh_json": true`, `"refresh_json": "yes"`, 15, "oauth.refresh_json", "must be true or false"},
		{"fraction for port", `[8085, 8086]`, `[8085.5]`, 14, "oauth.redirect.ports", "must be a whole number"},
		{"list for object", `{"prompt": "consent"}`, `[]`, 13, "oauth.authorization_params", "must be an object"},
		{"number in params", `"consent"`, `1`, 13, "oauth.authorization_params", "must be text"},
		{"no id", `"id": "acme",`, ``, 2, "id", "missing"},
		{"bad id", `"id": "acme"`, `"id": "Acme"`, 3, "id", "lower-case"},
		{"long id", `"id": "acme"`, `"id": "` + strings.Repeat("a", 65) + `"`, 3, "id", "lower-case"},
		{"id begins with a dash", `"id": "acme"`, `"id": "-acme"`, 3, "id", "lower-case"},
		{"built-in id", `"id": "acme"`, `"id": "openai-codex"`, 3, "id", "another provider already"},
		{"no name", `"name": "Acme",`, ``, 2, "name", "missing"},
		{"bidi name", `"Acme"`, "\"Ac\u202eme\"", 4, "name", "printable"},
		{"no client id", `"client_id": "abc",`, ``, 5, "oauth.client_id", "missing"},
		{"no issuer", `"issuer": "https://login.acme.test",`, ``, 5, "oauth.issuer", "missing"},
		{"issuer with query", `"https://login.acme.test"`, `"https://login.acme.test?x=1"`, 6, "oauth.issuer", "query"},
		{"no token endpoint", `"token_endpoint": "https://login.acme.test/token",`, ``, 5, "oauth.token_endpoint", "missing"},
		{"http", `"https://login.acme.test/token"`, `"http://login.acme.test/token"`, 8, "oauth.token_endpoint", "loopback address only"},
		{"scheme", `"https://login.acme.test/token"`, `"file:///etc/passwd"`, 8, "oauth.token_endpoint", "host"},
		{"other scheme", `"https://login.acme.test/token"`, `"ftp://login.acme.test/"`, 8, "oauth.token_endpoint", "must be an https URL"},
		{"no host", `"https://login.acme.test/token"`, `"https:///token"`, 8, "oauth.token_endpoint", "host"},
		{"port alone", `"https://login.acme.test/token"`, `"https://:443/token"`, 8, "oauth.token_endpoint", "host"},
		{"user", `"https://login.acme.test/token"`, `"https://user:pw@login.acme.test/token"`, 8, "oauth.token_endpoint", "password"},
		{"fragment", `authorize?tenant=1"`, `authorize#x"`, 7, "oauth.authorization_endpoint", "fragment"},
		{"reserved in query", `?tenant=1`, `?state=1`, 7, "oauth.authorization_endpoint", `"state"`},
		{"repeated in query", `?tenant=1`, `?a=1&a=2`, 7, "oauth.authorization_endpoint", `"a"`},
		{"revocation over http", `"https://login.acme.test/revoke"`, `"http://10.0.0.1/revoke"`, 9, "oauth.revocation_endpoint", "loopback"},
		{"reserved param", `"prompt"`, `"redirect_uri"`, 13, "oauth.authorization_params", `"redirect_uri"`},
		{"response mode", `"prompt"`, `"response_mode"`, 13, "oauth.authorization_params", `"response_mode"`},
		{"scope with a space", `"openid"`, `"openid email"`, 12, "oauth.scopes", "RFC 6749"},
		{"redirect host", `"localhost"`, `"0.0.0.0"`, 14, "oauth.redirect.host", "127.0.0.1"},
		{"redirect path", `"/cb"`, `"/cb?x=1"`, 14, "oauth.redirect.path", "plain"},
		{"relative path", `"/cb"`, `"cb"`, 14, "oauth.redirect.path", "plain"},
		{"our own path", `"/cb"`, `"/done"`, 14, "oauth.redirect.path", "answer page"},
		{"low port", `8085`, `80`, 14, "oauth.redirect.ports", "1024"},
		{"high port", `8085`, `65536`, 14, "oauth.redirect.ports", "1024"},
		{"policy", `"graceful"`, `"lax"`, 17, "oauth.policy", "strict"},
		{"exchange over http", `"https://api.acme.test/short"`, `"http://api.acme.test/short"`, 9, "oauth.exchange.endpoint", "loopback"},
		{"exchange without a token", `"token": "token"`, `"token": ""`, 9, "oauth.exchange.token", "missing"},
		{"exchange without an end", `, "expires": "expires_at"`, ``, 9, "oauth.exchange.expires", "missing"},
		{"header of ours", `"X-Editor"`, `"authorization"`, 9, "oauth.exchange.headers", "authorization"},
		{"header that is none", `"X-Editor"`, `"X Editor"`, 9, "oauth.exchange.headers", "X Editor"},
		{"header of two lines", `"e/1"`, `"e\r\nX: y"`, 9, "oauth.exchange.headers", "printable"},
		{"lead", `600`, `-1`, 15, "oauth.lead_seconds", "between"},
		{"long lead", `600`, `86401`, 15, "oauth.lead_seconds", "between"},
		{"client authentication", `"client_secret_post"`, `"client_secret_jwt"`, 11, "oauth.token_endpoint_auth_method", "not one of"},
		{"signed JSON", `"client_secret_post"`, `"private_key_jwt"`, 11, "oauth.token_endpoint_auth_method", "forms only"},
		{"secret in the file", `"client_secret_post"`, `"none", "client_secret": "s"`, 11, "oauth.client_secret", "not a member"},
		{"no signature", `"ES256"`, `"none"`, 9, "oauth.id_token_signing_alg_values_supported", "not one of"},
		{"shared key", `"ES256"`, `"HS256"`, 9, "oauth.id_token_signing_alg_values_supported", "not one of"},
		{"keys without openid", `"openid", `, ``, 9, "oauth.jwks_uri", "openid"},
		{"keys over http", `"https://login.acme.test/keys"`, `"http://login.acme.test/keys"`, 9, "oauth.jwks_uri", "loopback"},
		{"userinfo with a fragment", `/me"`, `/me#x"`, 9, "oauth.userinfo_endpoint", "fragment"},
		{"identity token", `"access_token"`, `"refresh_token"`, 16, "oauth.identity.token", "neither"},
		{"nothing to sign in with", `"oauth": {`, `"api_kee": {`, 5, "api_kee", "not a member"},
		{"unknown member of a key", `"id": "acme",`, `"id": "acme", "api_key": {"len": 1},`, 3, "api_key.len", "not a member"},
		{"page of a key", `"id": "acme",`, `"id": "acme", "api_key": {"page": "javascript:x"},`, 3, "api_key.page", "host"},
		{"prefix with a space", `"id": "acme",`, `"id": "acme", "token": {"prefix": "a b"},`, 3, "token.prefix", "beginning"},
		{"length", `"id": "acme",`, `"id": "acme", "setup_token": {"min_length": -1},`, 3, "setup_token.min_length", "between"},
		{"days", `"id": "acme",`, `"id": "acme", "setup_token": {"days": 99999},`, 3, "setup_token.days", "between"},
		{"variable", `"id": "acme",`, `"id": "acme", "token": {"env": "acme token"},`, 3, "token.env", "variable"},
		{"variable of a login", `"policy":`, `"env": "1A", "policy":`, 17, "oauth.env", "variable"},
		{"header", `"id": "acme",`, `"id": "acme", "api_key": {"header": "x: y"},`, 3, "api_key.header", "HTTP"},
		{"vendor", `"id": "acme",`, `"id": "acme", "vendor": "Acme Inc.",`, 3, "vendor", "lower-case"},
		{"bidi command", `"id": "acme",`, "\"id\": \"acme\", \"setup_token\": {\"command\": \"a\u202eb\"},", 3, "setup_token.command", "printable"},
		{"host with a path", `"id": "acme",`, `"id": "acme", "hosts": ["git.acme.test", "acme.test/x"],`, 3, "hosts", "path"},
		{"host in clear", `"id": "acme",`, `"id": "acme", "hosts": ["http://acme.test"],`, 3, "hosts", "https"},
		{"API in clear", `"id": "acme",`, `"id": "acme", "api": {"url": "http://acme.test"},`, 3, "api.url", "https"},
		{"account header", `"id": "acme",`, `"id": "acme", "api": {"url": "https://acme.test", "account_header": "a: b"},`, 3, "api.account_header", "header"},
		{"not JSON", `"id": "acme",`, `"id": "acme"`, 4, "", "object value"},
		{"not an object", whole, `[1]`, 1, "", "not a JSON object"},
		{"empty", whole, ``, 1, "", "unexpected EOF"},
		{"two values", whole, whole + "{}", 21, "", "after top-level value"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Count(whole, tt.old) == 0 {
				t.Fatalf("the file has no %q", tt.old)
			}
			got, err := load(t, strings.Replace(whole, tt.old, tt.new, 1))
			fe, ok := errors.AsType[*provider.FileError](err)
			if !ok {
				t.Fatalf("err = %v, want a FileError", err)
			}
			if fe.File != "providers/acme.json" || fe.Line != tt.line || fe.Field != tt.field || !strings.Contains(fe.Problem, tt.problem) {
				t.Errorf("got %v, want line %d, field %q, %q", fe, tt.line, tt.field, tt.problem)
			}
			if !reflect.DeepEqual(got, provider.Builtin()) {
				t.Errorf("the catalog is not the built-in one: %v", got)
			}
		})
	}
}

func TestLoadAProviderOfKeysOnly(t *testing.T) {
	got, err := load(t, `{"id": "acme", "name": "Acme", "api_key": {}, "setup_token": {"command": "acme login", "page": "https://acme.test/keys", "prefix": "ak-", "min_length": 20, "days": 90, "env": "ACME_KEY", "header": "X-Key"}, "vendor": "acme"}`)
	if err != nil {
		t.Fatal(err)
	}
	want := provider.Provider{
		ID: "acme", Name: "Acme", APIKey: &provider.Static{}, Vendor: "acme",
		SetupToken: &provider.Static{Command: "acme login", Page: "https://acme.test/keys", Prefix: "ak-", MinLength: 20, Days: 90, Header: "X-Key", Env: "ACME_KEY"},
	}
	if p, _ := got.Find("acme"); !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v, want %+v", p, want)
	}
	if _, err := load(t, `{"id": "acme", "name": "Acme"}`); err == nil {
		t.Error("a provider without any login was accepted")
	}
}

// TestLoadADeviceLogin: one needs neither an authorization endpoint nor a redirect.
func TestLoadADeviceLogin(t *testing.T) {
	t.Parallel()
	file := func(more string) string {
		return `{"id": "acme", "name": "Acme", "oauth": {"issuer": "https://acme.test", "token_endpoint": "https://acme.test/token", "client_id": "abc"` + more + `}}`
	}
	const device = `, "device_authorization_endpoint": "https://acme.test/device"`
	got, err := load(t, file(device+`, "device_exchange": {"poll_endpoint": "https://acme.test/poll", "verification_uri": "https://acme.test/enter", "redirect_uri": "https://acme.test/cb"}`))
	if err != nil {
		t.Fatal(err)
	}
	p, _ := got.Find("acme")
	want := provider.DeviceExchange{PollEndpoint: "https://acme.test/poll", VerificationURI: "https://acme.test/enter", RedirectURI: "https://acme.test/cb"}
	if p.Browser() || !p.Device() || *p.OAuth.DeviceExchange != want {
		t.Errorf("got %+v", p.OAuth)
	}
	for _, tt := range []struct{ more, field string }{
		{``, "oauth.authorization_endpoint"},
		{`, "device_authorization_endpoint": "http://acme.test/device"`, "oauth.device_authorization_endpoint"},
		{`, "authorization_endpoint": "https://acme.test/a"` + device, "oauth.redirect.path"},
		{device + `, "device_exchange": {"verification_uri": "https://acme.test/enter", "redirect_uri": "https://acme.test/cb"}`, "oauth.device_exchange.poll_endpoint"},
		{device + `, "device_exchange": {"poll_endpoint": "https://acme.test/poll", "verification_uri": "javascript:x", "redirect_uri": "https://acme.test/cb"}`, "oauth.device_exchange.verification_uri"},
		{device + `, "device_exchange": {"poll_endpoint": "https://acme.test/poll", "verification_uri": "https://acme.test/enter"}`, "oauth.device_exchange.redirect_uri"},
		{`, "authorization_endpoint": "https://acme.test/a", "redirect": {"path": "/cb"}, "device_exchange": {}`, "oauth.device_authorization_endpoint"},
	} {
		_, err := load(t, file(tt.more))
		if fe, ok := errors.AsType[*provider.FileError](err); !ok || fe.Field != tt.field {
			t.Errorf("%s: %v, want an error of %s", tt.more, err, tt.field)
		}
	}
}

func TestLoadHTTPOnlyOnRequest(t *testing.T) {
	local := strings.ReplaceAll(whole, "https://login.acme.test", "http://127.0.0.1:9000")
	if _, err := load(t, local); err != nil {
		t.Errorf("with allow_http_loopback: %v", err)
	}
	if _, err := load(t, strings.Replace(local, `"allow_http_loopback": true`, ``, 1)); err == nil {
		t.Error("http was accepted without allow_http_loopback")
	}
}

func TestLoadSkipsOnlyBadFiles(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, provider.Folder)
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"a.json":     whole,
		"b.json":     strings.Replace(whole, `"acme"`, `"beta"`, 1),
		"c.json":     `{`,
		"again.json": strings.Replace(whole, `"acme"`, `"beta"`, 1), // before b.json
		"big.json":   strings.Repeat(" ", 65<<10),
		"notes.txt":  "not read",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(sub, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(sub, "folder.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := provider.Load(os.DirFS(dir), provider.Builtin())
	var ids []string
	for _, p := range got {
		if _, builtIn := provider.Builtin().Find(p.ID); !builtIn {
			ids = append(ids, p.ID)
		}
	}
	if want := []string{"acme", "beta"}; !slices.Equal(ids, want) || len(got) != len(provider.Builtin())+2 {
		t.Errorf("ids = %v, want %v", ids, want)
	}
	for _, want := range []string{"b.json:3: id:", "c.json:1:", "big.json: is larger", "folder.json: is not a regular file"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	if name, err := provider.FileOf(os.DirFS(dir), "beta"); err != nil || name != "providers/again.json" {
		t.Errorf("FileOf = %q, %v, want the one that was loaded", name, err)
	}
	if _, err := provider.FileOf(os.DirFS(dir), "openai"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("FileOf of a built-in one: err = %v, want ErrNotExist", err)
	}
}

// TestReadTakesWhatLoadTakes: a check of a file is one of its length too.
func TestReadTakesWhatLoadTakes(t *testing.T) {
	long := strings.Repeat(" ", provider.MaxFile) + whole
	if _, err := provider.Read("long.json", []byte(long), nil); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("err = %v, want one about its length", err)
	}
}

func TestLoadWithoutFolder(t *testing.T) {
	got, err := provider.Load(os.DirFS(t.TempDir()), provider.Builtin())
	if err != nil || !reflect.DeepEqual(got, provider.Builtin()) {
		t.Errorf("Load = %v, %v, want the built-in catalog", got, err)
	}
	if _, err := provider.Load(fstest.MapFS{"providers": {Data: []byte("x")}}, nil); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file in the folder's place: err = %v", err)
	}
}

func TestBuiltinIsValid(t *testing.T) {
	for _, p := range provider.Builtin() {
		if _, ok := provider.Builtin().Find(p.ID); !ok {
			t.Errorf("%s is not found: the catalog is not sorted", p.ID)
		}
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %v", p.ID, err)
		}
		if p.Page == "" {
			t.Errorf("%s does not say where its facts come from", p.ID)
		}
		if (p.OAuth != nil || p.SetupToken != nil) && p.Vendor == "" {
			t.Errorf("%s does not say whose plan its tokens belong to, so they would go to anybody's tools", p.ID)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(`{"id":null,"oauth":{"redirect":{}}}`))
	f.Add([]byte("{\"id\":\"a\",\n\"oauth.issuer\":1,\"oauth\":{\"issuer\":2}}"))
	f.Add([]byte(`{"a":[[[[{}]]]],}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := provider.Load(fstest.MapFS{"providers/x.json": {Data: b}}, nil)
		if err == nil {
			if len(got) != 1 || got[0].Validate() != nil {
				t.Fatalf("accepted without being valid: %+v", got)
			}
			return
		}
		fe, ok := errors.AsType[*provider.FileError](err)
		if !ok || len(got) != 0 {
			t.Fatalf("got %v, %v", got, err)
		}
		if lines := 1 + strings.Count(string(b), "\n"); fe.Line > lines {
			t.Fatalf("line %d of %d: %v", fe.Line, lines, err)
		}
	})
}
