//go:build linux

package parsers

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/docker/docker-credential-helpers/client"
	"github.com/docker/docker-credential-helpers/credentials"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// TestDockersClient uses the library by which docker and podman ask their helpers.
func TestDockersClient(t *testing.T) {
	setup := ask(t, "", "helper", "docker", "demo", "--setup", "--host", "registry.acme.test:5000", "--host", "me@other.test")
	script, _, ok := strings.Cut(setup, "\n\n{")
	if !ok {
		t.Fatalf("what docker's setup prints has no second part:\n%s", setup)
	}
	run(t, "", "sh", "-c", script)
	program := client.NewShellProgramFunc(filepath.Join(os.Getenv("HOME"), ".local", "bin", "docker-credential-keytray-demo"))

	for server, user := range map[string]string{"https://registry.acme.test:5000/v2/": "oauth2", "other.test": "me"} {
		got, err := client.Get(program, server)
		if err != nil || got.Username != user || got.Secret != token(t) || got.ServerURL != server {
			t.Errorf("docker gets of %s: %v, %v", server, got != nil && got.Secret != "", err)
		}
	}
	if got, err := client.Get(program, "https://index.docker.io/v1/"); !credentials.IsErrCredentialsNotFound(err) {
		t.Errorf("docker gets of a registry that was not named: %v, %v", got, err)
	}
	if got, err := client.List(program); err != nil || len(got) != 2 || got["other.test"] != "me" {
		t.Errorf("docker lists %v, %v", got, err)
	}
	if err := client.Store(program, &credentials.Credentials{ServerURL: "other.test", Username: "a", Secret: "b"}); err == nil {
		t.Error("docker may store")
	}
	if err := client.Erase(program, "other.test"); err == nil {
		t.Error("docker may erase")
	}
}

// bearer is a server that remembers the header.
func bearer(t *testing.T, start func(http.Handler) *httptest.Server) (url string, certificate []byte, seen func() string) {
	t.Helper()
	header := make(chan string, 8)
	s := start(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { header <- r.Header.Get("Authorization") }))
	t.Cleanup(s.Close)
	if s.TLS != nil {
		certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	}
	return s.URL, certificate, func() string {
		select {
		case h := <-header:
			return h
		default:
			return ""
		}
	}
}

// TestKubernetesClient uses the library by which kubectl runs its plugins.
func TestKubernetesClient(t *testing.T) {
	url, certificate, seen := bearer(t, httptest.NewTLSServer)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, string(certificate))
	users := ask(t, "", "helper", "kube", "demo", "--setup")
	for _, version := range []string{"v1", "v1beta1"} {
		config := "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: s\n  cluster:\n    server: " + url +
			"\n    certificate-authority: " + ca + "\ncontexts:\n- name: c\n  context: {cluster: s, user: keytray-demo}\n" +
			strings.ReplaceAll(users, "k8s.io/v1\n", "k8s.io/"+version+"\n")
		c, err := clientcmd.RESTConfigFromKubeConfig([]byte(config))
		if err != nil {
			t.Fatal(err)
		}
		if c.ExecProvider == nil || c.ExecProvider.APIVersion != "client.authentication.k8s.io/"+version {
			t.Fatalf("the kubeconfig has %v", c.ExecProvider)
		}
		h, err := rest.HTTPClientFor(c)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := h.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if seen() != "Bearer "+token(t) {
			t.Errorf("%s: the server did not see the token", version)
		}
	}
}

func TestAWSProcessCredentials(t *testing.T) {
	const id, secret = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	ask(t, id+":"+secret+"\n", "models", "auth", "paste-api-key", "--provider", "aws")
	_, command, _ := strings.Cut(ask(t, "", "helper", "aws", "aws", "--setup"), "credential_process = ")
	got, err := processcreds.NewProvider(strings.TrimSpace(command)).Retrieve(t.Context())
	if err != nil || got.AccessKeyID != id || got.SecretAccessKey != secret || got.SessionToken != "" || got.CanExpire {
		t.Errorf("the SDK retrieves %s, %v", got.AccessKeyID, err)
	}

	const temporary = `{"Credentials":{"AccessKeyId":"ASIAIOSFODNN7EXAMPLE","SecretAccessKey":"s","SessionToken":"t","Expiration":"2099-01-01T00:00:00Z"}}`
	ask(t, temporary+"\n", "models", "auth", "paste-api-key", "--provider", "aws")
	got, err = processcreds.NewProvider(strings.TrimSpace(command)).Retrieve(t.Context())
	if err != nil || got.SessionToken != "t" || !got.CanExpire || got.Expires.Year() != 2099 {
		t.Errorf("the SDK retrieves of what sts printed %s, until %v, %v", got.AccessKeyID, got.Expires, err)
	}
	demo := strings.TrimSuffix(strings.TrimSpace(command), "aws") + "demo"
	if got, err := processcreds.NewProvider(demo).Retrieve(t.Context()); err == nil {
		t.Errorf("the SDK takes a login that is no key of AWS: %s", got.AccessKeyID)
	}
}

// TestGit clones from a server that wants the token as a password. Whether this git
// offers authtype depends on its version: what 2.46 and later ask is in a table of
// package export.
func TestGit(t *testing.T) {
	need(t, "git")
	t.Logf("%s", run(t, "", "git", "version"))
	work := t.TempDir()
	bare := filepath.Join(work, "repo.git")
	run(t, "", "git", "init", "-q", "--bare", bare)
	for _, args := range [][]string{
		{"init", "-q", filepath.Join(work, "src")},
		{"-C", filepath.Join(work, "src"), "-c", "user.name=a", "-c", "user.email=a@b.test", "commit", "-q", "--allow-empty", "-m", "x"},
		{"-C", filepath.Join(work, "src"), "push", "-q", bare, "HEAD:refs/heads/main"},
		{"-C", bare, "symbolic-ref", "HEAD", "refs/heads/main"},
		{"-C", bare, "update-server-info"},
	} {
		run(t, "", "git", args...)
	}
	want := token(t)
	files := http.FileServer(http.Dir(work))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "oauth2" || password != want {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		files.ServeHTTP(w, r)
	}))
	defer s.Close()
	home := os.Getenv("HOME")
	setup := ask(t, "", "helper", "git", "demo", "--setup", "--host", s.URL)
	write(t, filepath.Join(home, ".gitconfig"), "[credential]\n\thelper = store\n"+setup)

	run(t, "", "git", "clone", "-q", s.URL+"/repo.git", filepath.Join(work, "clone"))
	if _, err := os.Stat(filepath.Join(home, ".git-credentials")); err == nil {
		t.Error("another helper stored the token")
	}
	host := strings.TrimPrefix(s.URL, "http://")
	got := run(t, "protocol=http\nhost="+host+"\n\n", "git", "credential", "fill")
	if !strings.Contains(got, "username=oauth2\npassword="+want+"\n") {
		t.Errorf("git credential fill prints %d bytes without the token", len(got))
	}
	run(t, got, "git", "credential", "reject") // erase, which does nothing
	if again := run(t, "protocol=http\nhost="+host+"\n\n", "git", "credential", "fill"); again != got {
		t.Error("after a rejection git is answered otherwise")
	}
	for _, other := range []string{"protocol=https\nhost=" + host, "protocol=http\nhost=127.0.0.1:1", "protocol=https\nhost=evil.test"} {
		cmd := exec.CommandContext(t.Context(), "git", "credential", "fill")
		cmd.Stdin = strings.NewReader(other + "\n\n")
		if out, err := cmd.Output(); err == nil || len(out) > 0 {
			t.Errorf("git gets %d bytes for %q, %v", len(out), other, err)
		}
	}
}

func TestCurl(t *testing.T) {
	need(t, "curl")
	url, _, seen := bearer(t, httptest.NewServer)
	line := ask(t, "", "helper", "curl", "demo", "--setup")
	run(t, "", "sh", "-c", strings.ReplaceAll(line, "https://api.example.com/v1/models", "-sS "+url))
	if seen() != "Bearer "+token(t) {
		t.Error("the server did not see the token")
	}
}

// TestCodexConfiguration has a TOML parser read what is pasted, and runs what it
// reads as Codex would.
func TestCodexConfiguration(t *testing.T) {
	write(t, filepath.Join(os.Getenv("HOME"), ".local", "state", "keytray", "providers", "models.json"),
		`{"id": "models", "name": "Quoted \"Models\"", "api_key": {}, "api": {"url": "https://api.models.test/v1"}}`)
	ask(t, "sk-test-1\n", "models", "auth", "paste-api-key", "--provider", "models")
	var config struct {
		Providers map[string]struct {
			Name    string
			BaseURL string `toml:"base_url"`
			Auth    struct {
				Command string
				Args    []string
			}
		} `toml:"model_providers"`
	}
	setup := ask(t, "", "helper", "codex", "models", "--setup")
	if _, err := toml.NewDecoder(strings.NewReader(setup)).Decode(&config); err != nil {
		t.Fatalf("%v\n%s", err, setup)
	}
	p := config.Providers["keytray"]
	if p.Name != `Quoted "Models" by Keytray` || p.BaseURL != "https://api.models.test/v1" {
		t.Errorf("Codex reads %+v", p)
	}
	if got := run(t, "", p.Auth.Command, p.Auth.Args...); got != "sk-test-1\n" {
		t.Errorf("Codex is given %d bytes", len(got))
	}
}
