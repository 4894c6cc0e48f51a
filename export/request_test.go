package export_test

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/keytray/keytray/export"
	"github.com/keytray/keytray/secret"
)

func TestReadGit(t *testing.T) {
	t.Parallel()
	plain := export.GitRequest{Protocol: "https", Host: "h", Bearer: true}
	for text, want := range map[string]export.GitRequest{
		"protocol=https\nhost=h\n\n":                                     plain,
		"protocol=https\nhost=h":                                         plain,
		"host=h\nprotocol=https\n\nhost=other\r\n":                       plain, // what follows an empty line is not read
		"protocol=https\nhost=h\npath=a=b\nnew=x\n":                      plain,
		"protocol=https\nhost=h\nhost=h\n":                               plain,
		"protocol=https\nhost=h:8443\nusername=bob\n":                    {Protocol: "https", Host: "h:8443", User: "bob", Bearer: true},
		"capability[]=authtype\nprotocol=https\nhost=h\n":                {Protocol: "https", Host: "h", Schemes: true, Bearer: true},
		"capability[]=state\nprotocol=https\nhost=h\n":                   plain,
		"capability[]=authtype\ncapability[]=\nprotocol=https\nhost=h\n": plain, // an empty one takes back the others
		"protocol=https\nhost=h\nwwwauth[]=Basic realm=\"x\"\n":          {Protocol: "https", Host: "h"},
		"protocol=https\nhost=h\nwwwauth[]=Basic\nwwwauth[]=bearer\n":    plain,
		"protocol=https\nhost=h\nwwwauth[]=Negotiate, Bearer realm=x\n":  plain,
		"protocol=https\nhost=h\nwwwauth[]=Basic realm=Bearer\n":         {Protocol: "https", Host: "h"},
	} {
		if got, err := export.ReadGit(strings.NewReader(text)); err != nil || got != want {
			t.Errorf("ReadGit(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for name, text := range map[string]string{
		"nothing":       "",
		"garbage":       "\x00\xff\xfe{]",
		"JSON":          `{"protocol":"https"}`,
		"no host":       "protocol=https\n",
		"no protocol":   "host=h\n",
		"two hosts":     "protocol=https\nhost=h\nhost=i\n",
		"two protocols": "protocol=https\nprotocol=http\nhost=h\n",
		"two users":     "protocol=https\nhost=h\nusername=a\nusername=b\n",
		"CRLF":          "protocol=https\r\nhost=h\r\n\r\n",
		"CR in a value": "protocol=https\nhost=h\rost=i\n",
		"NUL":           "protocol=https\nhost=h\x00\n",
		"no name":       "=x\nprotocol=https\nhost=h\n",
		"URL":           "protocol=https\nhost=h\nurl=https://i\n",
		"long line":     "protocol=https\nhost=h\npath=" + strings.Repeat("a", 64<<10) + "\n",
		"long request":  "protocol=https\nhost=h\n" + strings.Repeat("wwwauth[]="+strings.Repeat("a", 1000)+"\n", 300),
	} {
		if got, err := export.ReadGit(strings.NewReader(text)); !errors.Is(err, export.ErrGitRequest) || got != (export.GitRequest{}) {
			t.Errorf("%s: ReadGit = %+v, %v", name, got, err)
		}
	}
	if _, err := export.ReadGit(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("ReadGit of a closed pipe: %v", err)
	}
}

// TestGitMayKeepThePipeOpen: the empty line ends a request.
func TestGitMayKeepThePipeOpen(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	defer w.Close()
	go io.WriteString(w, "protocol=https\nhost=h\n\n")
	if _, err := export.ReadGit(r); err != nil {
		t.Error(err)
	}
}

func FuzzReadGit(f *testing.F) {
	f.Add("capability[]=authtype\nprotocol=https\nhost=git.acme.test\nwwwauth[]=Bearer\n\n", "oauth2", "token")
	f.Add("protocol=https\nhost=h\nhost=i\n", "", "t")
	f.Add("protocol=https\r\nhost=h\r\n", "a", "t")
	f.Add("protocol=https\nhost=h\nusername=u\nwwwauth[]=Basic\ncapability[]=authtype\n", "a", "t")
	f.Fuzz(func(t *testing.T, text, user, token string) {
		q, err := export.ReadGit(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, s := range []string{q.Protocol, q.Host, q.User} {
			if strings.ContainsAny(s, "\r\n\x00") || s != "" && !strings.Contains(text, "="+s) {
				t.Errorf("ReadGit(%q) has %q", text, s)
			}
		}
		var b strings.Builder
		if strings.ContainsAny(user, "\r\n") || export.Git(q, user).Write(&b, export.Item{Access: secret.New(token)}) != nil {
			return
		}
		for line := range strings.Lines(b.String()) {
			if name, _, ok := strings.Cut(line, "="); !ok || !strings.HasSuffix(line, "\n") || strings.Contains(name, "refresh") {
				t.Errorf("for %q git is answered %q", text, line)
			}
		}
	})
}

func TestReadServer(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"https://index.docker.io/v1/": {"https://index.docker.io"},
		"registry.acme.test:5000\r\n": {"https://registry.acme.test:5000", "http://registry.acme.test:5000"},
		" http://localhost:5000 \n":   {"http://localhost:5000"},
	} {
		got, err := export.ReadServer(strings.NewReader(text))
		if err != nil || got != strings.TrimSpace(text) || !slices.Equal(export.RegistryHosts(got), want) {
			t.Errorf("ReadServer(%q) = %q, %v, of the hosts %q, want %q", text, got, err, export.RegistryHosts(got), want)
		}
	}
	for name, text := range map[string]string{
		"nothing": "", "space": " \n", "two lines": "a.test\nb.test\n", "NUL": "a.test\x00", "long": strings.Repeat("a", 5000),
	} {
		if got, err := export.ReadServer(strings.NewReader(text)); !errors.Is(err, export.ErrDockerRequest) || got != "" {
			t.Errorf("%s: ReadServer = %q, %v", name, got, err)
		}
	}
	if _, err := export.ReadServer(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("ReadServer of a closed pipe: %v", err)
	}
}

func FuzzReadServer(f *testing.F) {
	f.Add("https://index.docker.io/v1/")
	f.Add("a.test\nb.test")
	f.Add("http:///x")
	f.Fuzz(func(t *testing.T, text string) {
		server, err := export.ReadServer(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, name := range export.RegistryHosts(server) {
			_, host, _ := strings.Cut(name, "://")
			if strings.ContainsAny(server, " \r\n\x00") || strings.Contains(host, "/") {
				t.Errorf("ReadServer(%q) = %q of %q", text, server, name)
			}
		}
	})
}

func TestReadKube(t *testing.T) {
	t.Parallel()
	const group = "client.authentication.k8s.io/"
	for info, want := range map[string]string{
		"": group + "v1",
		`{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false}}`: group + "v1",
		`{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","new":{}}`:                group + "v1beta1",
	} {
		if got, err := export.ReadKube(info); err != nil || got != want {
			t.Errorf("ReadKube(%s) = %q, %v, want %q", info, got, err, want)
		}
	}
	for _, info := range []string{
		"x", "{}", "[]", `{"kind":"Pod","apiVersion":"v1"}`, `{"kind":"ExecCredential"}`,
		`{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1alpha1"}`,
		`{"kind":"ExecCredential","apiVersion":1}`, strings.Repeat(" ", 2<<20),
	} {
		if got, err := export.ReadKube(info); !errors.Is(err, export.ErrKubeRequest) || got != "" {
			t.Errorf("ReadKube(%.80s) = %q, %v", info, got, err)
		}
	}
}

func FuzzReadKube(f *testing.F) {
	f.Add(`{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{}}`)
	f.Add(`{"kind":"ExecCredential","apiVersion":"v1"}`)
	f.Add(`{"KIND":"ExecCredential","apiversion":"client.authentication.k8s.io/v1"} x`)
	f.Fuzz(func(t *testing.T, info string) {
		v, err := export.ReadKube(info)
		if (err == nil) != (v == "client.authentication.k8s.io/v1" || v == "client.authentication.k8s.io/v1beta1") {
			t.Errorf("ReadKube(%q) = %q, %v", info, v, err)
		}
	})
}

const (
	awsKey     = "AKIAIOSFODNN7EXAMPLE"
	awsSession = "ASIAIOSFODNN7EXAMPLE"
)

func TestAWSCredentials(t *testing.T) {
	t.Parallel()
	for pasted, want := range map[string]string{
		awsKey + ":a/b+c=":         `{"Version":1,"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"a/b+c="}`,
		awsSession + ":s:FwoG//==": `{"Version":1,"AccessKeyId":"ASIAIOSFODNN7EXAMPLE","SecretAccessKey":"s","SessionToken":"FwoG//=="}`,
		`{"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"s","Version":7,"Other":"x"}`:                                                                          `{"Version":1,"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"s"}`,
		`{"Credentials":{"AccessKeyId":"ASIAIOSFODNN7EXAMPLE","SecretAccessKey":"s","SessionToken":"t","Expiration":"2026-11-26T03:00:00+00:00"},"AssumedRoleUser":{}}`: `{"Version":1,"AccessKeyId":"ASIAIOSFODNN7EXAMPLE","SecretAccessKey":"s","SessionToken":"t","Expiration":"2026-11-26T03:00:00+00:00"}`,
	} {
		var b strings.Builder
		if err := export.AWS().Write(&b, export.Item{Access: secret.New(pasted)}); err != nil || b.String() != want+"\n" {
			t.Errorf("AWS of %s = %s, %v, want %s", pasted, b.String(), err, want)
		}
	}
	var b strings.Builder
	ends := time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC)
	if err := export.AWS().Write(&b, export.Item{Access: secret.New(awsKey + ":s"), Expires: ends}); err != nil || !strings.Contains(b.String(), `"Expiration":"2026-11-26T03:00:00Z"`) {
		t.Errorf("AWS of a login that ends = %s, %v", b.String(), err)
	}
	for _, pasted := range []string{
		"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", awsKey, awsKey + ":", ":s", "akia:s", awsSession + ":s", awsSession + ":s:",
		awsKey[:15] + ":s", strings.Repeat("A", 129) + ":s",
		"{", "{}", `{"AccessKeyId":1}`, `{"Credentials":null,"AccessKeyId":"AKIAIOSFODNN7EXAMPLE"}`,
		`{"AccessKeyId":"AKIAIOSFODNN7EXAMPLE","SecretAccessKey":"s","Expiration":"soon"}`,
	} {
		err := export.AWS().Write(io.Discard, export.Item{Access: secret.New(pasted)})
		if !errors.Is(err, export.ErrNotAWS) || strings.Contains(err.Error(), "KIA") {
			t.Errorf("AWS of %s: %v", pasted, err)
		}
	}
}

func FuzzAWS(f *testing.F) {
	f.Add(awsKey + ":a/b+c=")
	f.Add(awsSession + ":s:t:u")
	f.Add(`{"Credentials":{"AccessKeyId":"ASIAIOSFODNN7EXAMPLE","SecretAccessKey":"<s>","SessionToken":"t"}}`)
	f.Fuzz(func(t *testing.T, pasted string) {
		var b strings.Builder
		if err := export.AWS().Write(&b, export.Item{Access: secret.New(pasted)}); err != nil {
			if b.Len() > 0 {
				t.Errorf("an error after %q", b.String())
			}
			return
		}
		if !strings.HasPrefix(b.String(), `{"Version":1,"AccessKeyId":"`) || strings.Count(b.String(), "\n") != 1 {
			t.Errorf("AWS of %q = %q", pasted, b.String())
		}
	})
}

func TestGitAnswers(t *testing.T) {
	t.Parallel()
	ends := time.Unix(1795401128, 0)
	for _, c := range []struct {
		q    export.GitRequest
		user string
		ends time.Time
		want string
	}{
		{q: export.GitRequest{Bearer: true}, want: "username=oauth2\npassword=T\n"},
		{q: export.GitRequest{}, user: "bob", ends: ends, want: "username=bob\npassword=T\npassword_expiry_utc=1795401128\n"},
		{q: export.GitRequest{User: "eve"}, user: "bob", want: "username=eve\npassword=T\n"},
		{q: export.GitRequest{Schemes: true, Bearer: true}, ends: ends, want: "capability[]=authtype\nauthtype=Bearer\ncredential=T\nephemeral=1\npassword_expiry_utc=1795401128\n"},
		{q: export.GitRequest{Schemes: true}, want: "capability[]=authtype\nauthtype=Basic\ncredential=b2F1dGgyOlQ=\nephemeral=1\n"},
	} {
		var b strings.Builder
		err := export.Git(c.q, c.user).Write(&b, export.Item{Access: secret.New("T"), Expires: c.ends})
		if err != nil || b.String() != c.want {
			t.Errorf("Git(%+v, %q) = %q, %v, want %q", c.q, c.user, b.String(), err, c.want)
		}
	}
}

func TestHooks(t *testing.T) {
	t.Parallel()
	all := logins()
	for i, c := range []struct {
		spec  export.Spec
		login string
		want  string
	}{
		{export.ClaudeHook(false), "setup", "error: a token of a Claude plan does not work through apiKeyHelper\n"},
		{export.ClaudeHook(true), "setup", "sk-ant-oat01-s\n"},
		{export.ClaudeHook(false), "bearer", "gateway\n"},
		{export.ClaudeHook(true), "chatgpt", "error: the token of openai-codex:alice@example.org belongs to a plan of openai, "},
		{export.ClaudeHook(false), "key", "error: openai:manual is a key of openai, and the tool would send it to another vendor (anthropic)"},
		{export.ClaudeHook(true), "key", "sk-1\n"},
		{export.CodexHook(), "chatgpt", jwt + "\n"},
		{export.CodexHook(), "setup", "error: the token of anthropic:default belongs to a plan of anthropic, "},
		{export.PiHook(), "key", "sk-1\n"},
		{export.PiHook(), "chatgpt", "error: the token of openai-codex:alice@example.org belongs to a plan of openai, "},
		{export.Docker("r.test", "<me>"), "odd", `{"ServerURL":"r.test","Username":"<me>","Secret":"a'b<$(id)>\"\\c "}` + "\n"},
		{export.Kube("v9"), "key", `{"apiVersion":"v9","kind":"ExecCredential","status":{"token":"sk-1"}}` + "\n"},
	} {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			if got := written(c.spec, all[c.login]); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s of %s = %q, want %q", c.spec.Name, c.login, got, c.want)
			}
		})
	}
}
