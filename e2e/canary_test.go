//go:build linux

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// window is how many bytes of a secret in a row count as a find: a log that
// shows the first half of a token has leaked too.
const window = 12

// canaries finds pieces of secrets in bytes. Its keys are all the windows of
// all secrets, as they are, in hexadecimal and in base64; its values say what
// was found.
type canaries map[string]string

func (c canaries) add(what string, secrets ...string) {
	for _, s := range secrets {
		c.windows(what, s)
		c.windows(what+" in hex", hex.EncodeToString([]byte(s)))
		c.windows(what+" in hex", strings.ToUpper(hex.EncodeToString([]byte(s))))
		for shift := range 3 { // where it begins in a group of three bytes
			in := append(make([]byte, shift), s...)
			for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
				text := e.EncodeToString(in)
				c.windows(what+" in base64", text[4:len(text)-4]) // without the neighbours' bits
			}
		}
	}
}

func (c canaries) windows(what, s string) {
	for i := range len(s) - window + 1 {
		c[s[i:i+window]] = what
	}
}

// find returns what is hidden in b, or "".
func (c canaries) find(b []byte) string {
	for i := range len(b) - window + 1 {
		if what, ok := c[string(b[i:i+window])]; ok {
			return what
		}
	}
	return ""
}

// secrets are the canaries of all that the server knows. The signature of an ID
// token stands for it: the rest says nothing that is secret.
func (l ledger) secrets() canaries {
	c := canaries{}
	c.add("a refresh token", l.Refresh...)
	c.add("an access token", headless(l.Access)...)
	c.add("a code", headless(l.Codes)...)
	c.add("a device code", headless(l.Devices)...)
	c.add("a verifier", l.Verifiers...)
	for _, id := range l.IDTokens {
		c.add("an ID token", id[strings.LastIndexByte(id, '.')+1:])
	}
	return c
}

// headless are tokens without the header of an encrypted one (zitadel), which
// tokens have in common.
func headless(tokens []string) []string {
	var bodies []string
	for _, t := range tokens {
		if head, body, ok := strings.Cut(t, "."); ok && strings.HasPrefix(head, "eyJ") {
			t = body
		}
		bodies = append(bodies, t)
	}
	return bodies
}

// inFiles searches every file below dir, and every name.
func (c canaries) inFiles(dir string) (finds []string, files int, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return ignoreGone(err)
		}
		if what := c.find([]byte(path)); what != "" {
			finds = append(finds, fmt.Sprintf("%s in the name of a file below %s", what, dir))
		}
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return ignoreGone(err)
		}
		files++
		if what := c.find(b); what != "" {
			finds = append(finds, what+" in "+path)
		}
		return nil
	})
	return finds, files, err
}

func ignoreGone(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// watch samples the arguments and environments of all processes of this machine
// into seen, until the returned function is called, which takes a last sample.
func watch(seen map[string]bool) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() { // ends when stop is called, which waits for it
		defer close(done)
		for {
			sample(seen)
			select {
			case <-quit:
				sample(seen)
				return
			case <-time.After(15 * time.Millisecond):
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

func sample(seen map[string]bool) {
	for _, f := range []string{"/proc/[0-9]*/cmdline", "/proc/[0-9]*/environ"} {
		names, _ := filepath.Glob(f)
		for _, name := range names {
			if b, err := os.ReadFile(name); err == nil {
				seen[string(b)] = true
			}
		}
	}
}

// saw reports whether the watch came across text.
func (r *rig) saw(text string) bool {
	for seen := range r.seen {
		if strings.Contains(seen, text) {
			return true
		}
	}
	return false
}

// noSecretsAnywhere searches all that the rig has left behind: its folder (the
// state root, locks and journals, HOME, temporary files, the keyring's own
// file, every log), what each keytray said, and what processes were seen with.
func (r *rig) noSecretsAnywhere() {
	r.t.Helper()
	c := r.srv.ledger().secrets()
	finds, files, err := c.inFiles(r.dir)
	if err != nil {
		r.t.Error(err)
	}
	for text := range r.seen {
		if what := c.find([]byte(text)); what != "" {
			finds = append(finds, what+" in an argument or the environment of a process")
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ran := range r.ran {
		if what := c.find([]byte(ran.stdout)); what != "" && (what != "an access token" || !exports(ran.args)) {
			finds = append(finds, fmt.Sprintf("%s on the stdout of keytray %s", what, strings.Join(ran.args, " ")))
		}
	}
	for _, f := range finds {
		r.t.Errorf("found %s", f)
	}
	if len(c) == 0 && len(r.ran) > 0 {
		r.t.Error("the server has no secrets to search for, so nothing was searched")
	}
	r.t.Logf("searched %d files, %d arguments and environments and %d outputs for %d pieces of secrets",
		files, len(r.seen), len(r.ran), len(c))
}

// exports reports whether the command is one that may print an access token.
func exports(args []string) bool {
	return slices.Contains(args, "token") || slices.Contains(args, "export")
}

// traced runs f, in which keytray runs under strace, and returns the trace:
// each program that was started, each file name that was used, and every byte
// that was written, also to files that are gone since.
func (r *rig) traced(f func()) string {
	r.t.Helper()
	need(r.t, "strace")
	trace := filepath.Join(r.t.TempDir(), "trace") // not in the rig: it holds what went over the network
	r.under = []string{
		"strace", "-f", "--seccomp-bpf", "-qq", "-y", "-v", "-s", "1000000", "-o", trace,
		"-e", "trace=execve,%file,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendmmsg",
	}
	defer func() { r.under = nil }()
	f()
	b, err := os.ReadFile(trace)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// toPeer matches a traced write to the network, the session bus or a pipe:
// where a secret may go, and the only places.
var toPeer = regexp.MustCompile(`^\d+ +\w+\(\d+<(socket|pipe):`)

// inTrace returns what a trace shows of secrets outside sockets and pipes.
func (c canaries) inTrace(trace string) (finds []string) {
	for line := range strings.Lines(trace) {
		if toPeer.MatchString(line) {
			continue
		}
		if what := c.find([]byte(line)); what != "" {
			call, _, _ := strings.Cut(line, "(")
			finds = append(finds, what+" in a traced call"+call)
		}
	}
	return finds
}

// TestCanarySearchFindsWhatIsPlanted: the searches above are worth something
// only if they can fail.
func TestCanarySearchFindsWhatIsPlanted(t *testing.T) {
	need(t, "strace", "sh")
	const planted = "xK3-qP9_zR7vT1wY5uN8mB2cD4fG6hJ0aS-eLoIiQkW"
	l := ledger{Refresh: []string{planted}}
	c := l.secrets()
	shapes := map[string]string{
		"whole":         planted,
		"half":          "… " + planted[:len(planted)/2] + "…",
		"in JSON":       `{"a":"` + planted + `"}`,
		"in hex":        hex.EncodeToString([]byte(planted)),
		"in base64":     base64.StdEncoding.EncodeToString([]byte("user:" + planted + "!")),
		"in base64 URL": base64.RawURLEncoding.EncodeToString([]byte("ab" + planted)),
	}
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "log"), []byte("a line\n"+shapes[name]+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if finds, _, err := c.inFiles(dir); len(finds) != 1 || err != nil {
			t.Errorf("%s: the search of files found %v, %v; want one find", name, finds, err)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, planted), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if finds, _, _ := c.inFiles(dir); len(finds) != 1 {
		t.Errorf("a file's name: found %v, want one find", finds)
	}

	for name, cmd := range map[string]*exec.Cmd{
		"argument":    exec.Command("sh", "-c", "read x", planted),
		"environment": exec.Command("sh", "-c", "read x"),
	} {
		if name == "environment" {
			cmd.Env = []string{"TOKEN=" + planted}
		}
		if !seenByWatch(t, c, cmd) {
			t.Errorf("the watch of processes did not find the secret in an %s", name)
		}
	}

	trace := filepath.Join(t.TempDir(), "trace")
	script := `echo "$0" > file; rm file; echo "$0"` // the file is gone, the pipe is allowed
	cmd := exec.Command("strace", "-f", "--seccomp-bpf", "-qq", "-y", "-v", "-s", "1000000", "-o", trace, "-e", "trace=write", "sh", "-c", script, planted)
	cmd.Dir, cmd.Stdout = t.TempDir(), new(bytes.Buffer)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	if finds := c.inTrace(string(b)); len(finds) != 1 {
		t.Errorf("in the trace of a deleted file found %v, want one find", finds)
	}
	if what := c.find([]byte("nothing of the kind: " + strings.Repeat("x", 100))); what != "" {
		t.Errorf("found %s in a text without secrets", what)
	}
}

// seenByWatch runs cmd, which waits for its stdin to end, under a watch.
func seenByWatch(t *testing.T, c canaries, cmd *exec.Cmd) bool {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	stop := watch(seen)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop()
	in.Close()
	cmd.Wait()
	for text := range seen {
		if c.find([]byte(text)) != "" {
			return true
		}
	}
	return false
}
