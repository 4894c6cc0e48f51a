//go:build linux

package packages

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/keytray/keytray/oauth/oauthtest"
)

// use does what an ordinary person does after an installation.
func use(t *testing.T, p place, version string, commands []string) {
	t.Helper()
	if got, want := run(t, p, false, "keytray version"), "keytray "+version+" linux/amd64\n"; got != want {
		t.Errorf("keytray version prints %q, want %q", got, want)
	}
	said := strings.Join(strings.Fields(follow(t, p, commands)), " ")
	for _, want := range []string{"keytray " + version, "Exit codes: 0 done"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q say %q, want %q in it", commands, said, want)
		}
	}
	for _, page := range []string{"keytray-token", "keytray-tray", "git-credential-keytray", "docker-credential-keytray"} {
		if got := run(t, p, false, "man "+page+" | head -3"); !strings.Contains(got, "KEYTRAY") {
			t.Errorf("man %s shows %q", page, got)
		}
	}
	// As the key does it in an interactive shell.
	const complete = `. /usr/share/bash-completion/bash_completion
_completion_loader keytray
compopt() { :; } # works only where a key was pressed
COMP_WORDS=(keytray wat) COMP_CWORD=1 COMP_LINE='keytray wat' COMP_POINT=11 COMP_TYPE=9
"$(complete -p keytray | sed 's/.*-F \([^ ]*\).*/\1/')" keytray wat keytray
echo "${COMPREPLY[@]}"`
	if got := run(t, p, false, complete); !strings.HasPrefix(got, "watch") {
		t.Errorf("bash completes wat to %q", got)
	}
	// The helpers are keytray under their names.
	if got := run(t, p, false, "printf 'protocol=https\nhost=nowhere.example\n\n' | git-credential-keytray get"); got != "" {
		t.Errorf("git-credential-keytray says %q of a host that nobody named", got)
	}
	if got := run(t, p, false, "docker-credential-keytray list"); strings.TrimSpace(got) != "{}" {
		t.Errorf("docker-credential-keytray list prints %q", got)
	}
}

// account is a person's login at a server of ours, whose tokens end soon.
type account struct {
	server *oauthtest.Server
	place  place
}

// signIn signs ada in, with the secrets in files: there is no Secret Service.
func signIn(t *testing.T, p place) account {
	t.Helper()
	a := account{oauthtest.New(oauthtest.Options{Lifetime: 4 * time.Second}), p}
	if err := a.server.Start(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.server.Close() })
	var entry bytes.Buffer
	if err := a.server.WriteProvider(&entry); err != nil {
		t.Fatal(err)
	}
	write := p.command(false, "umask 077; mkdir -p ~/.local/state/keytray/providers; cat >~/.local/state/keytray/providers/demo.json")
	write.Stdin = &entry
	if out, err := write.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	login := p.command(false, "exec keytray login demo --browser --keychain file")
	stderr, err := login.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := login.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		if url := regexp.MustCompile(`https?://\S+/authorize\S+`).FindString(lines.Text()); url != "" {
			go func() { _, _ = oauthtest.Browser{User: "ada"}.Open(context.WithoutCancel(t.Context()), url) }() // ends with the login
		}
	}
	if err := login.Wait(); err != nil {
		t.Fatalf("keytray login: %v\n%s", err, &said)
	}
	return a
}

// works fails unless a program gets a token that the server takes, and none that was
// spent was ever sent.
func (a account) works(t *testing.T) {
	t.Helper()
	token := strings.TrimSpace(run(t, a.place, false, "keytray token demo --min-ttl 1s"))
	if !a.server.Valid(token) {
		t.Error("keytray token prints a token that the server does not take")
	}
	if s := a.server.Stats(); s.Reuses != 0 || s.Refused != 0 {
		t.Errorf("the server saw %d spent tokens and refused %d requests", s.Reuses, s.Refused)
	}
}

// renews waits until the resident has renewed the login again.
func (a account) renews(t *testing.T) {
	t.Helper()
	want := a.server.Stats().Refreshes + 2 // one may be under way
	for deadline := time.Now().Add(time.Minute); a.server.Stats().Refreshes < want; {
		if time.Now().After(deadline) {
			t.Fatal("nobody renews the login")
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("interrupted")
		}
	}
}

// resident is a program that keeps tokens fresh.
type resident struct {
	*exec.Cmd
	said bytes.Buffer
}

func startResident(t *testing.T, p place, line string) *resident {
	t.Helper()
	r := &resident{Cmd: p.command(false, "exec "+line)}
	r.Stdout, r.Stderr = &r.said, &r.said
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Process.Kill() })
	return r
}

// end ends it as a service manager does.
func (r *resident) end(t *testing.T) {
	t.Helper()
	_ = r.Process.Signal(syscall.SIGTERM)
	if err := r.Wait(); err != nil {
		t.Errorf("%s: %v\n%s", r.Args[len(r.Args)-1], err, &r.said)
	}
}

// replaced reports whether its program is no longer the one that is installed.
func (r *resident) replaced(t *testing.T) bool {
	t.Helper()
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", r.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.HasSuffix(path, " (deleted)")
}

// a life is that of one kind of package.
type life struct {
	place    place
	document map[string]section
	title    string // where the document says how it is installed and removed
	resident string // what runs during the upgrade
	leaves   string // what a removal leaves
}

// live: each kind of package is installed, used, upgraded while a program of it
// runs, and removed; the login survives all of that.
func (l life) live(t *testing.T) {
	t.Helper()
	s := l.document[l.title]
	follow(t, l.place, l.document[checked].get(t, 0, first))
	follow(t, l.place, s.get(t, 0, first))
	use(t, l.place, first, l.document[afterward].get(t, 0, first))
	before := l.tree(t)

	a := signIn(t, l.place)
	run(t, l.place, false, connected)
	r := startResident(t, l.place, l.resident)
	a.renews(t)
	follow(t, l.place, s.get(t, 0, second))
	if !r.replaced(t) {
		t.Error("the upgrade did not replace what runs")
	}
	if got := run(t, l.place, false, "keytray version"); !strings.Contains(got, second) {
		t.Errorf("after the upgrade keytray version prints %q", got)
	}
	a.works(t)
	a.renews(t) // by the program that is no longer there
	l.resolves(t, second)
	r.end(t)
	r = startResident(t, l.place, l.resident)
	a.renews(t)
	r.end(t)
	a.works(t)
	if after := l.tree(t); after != before {
		t.Errorf("the upgrade left other files than the first version:\n%s\nbefore:\n%s", after, before)
	}

	kept := run(t, l.place, false, "cd ~/.local/state/keytray && find . -type f -exec sha256sum {} + | sort")
	said := follow(t, l.place, s.get(t, 1, second))
	if l.title != anywhere && !strings.Contains(said, "The logins stay where they are") {
		t.Errorf("removing says %q", said)
	}
	if got := run(t, l.place, false, "cd ~/.local/state/keytray && find . -type f -exec sha256sum {} + | sort"); got != kept {
		t.Errorf("removing changed the state: %s, want %s", got, kept)
	}
	if left := l.tree(t); left != l.leaves {
		t.Errorf("left behind:\n%swant:\n%s", left, l.leaves)
	}
	l.resolves(t, second) // OpenClaw has a copy
	follow(t, l.place, s.get(t, 0, second))
	a.works(t)
}

// connected leaves what `keytray openclaw connect` does, for an OpenClaw without
// logins; it is not at hand here.
const connected = `umask 077; mkdir -p ~/.local/state/keytray/openclaw && cat >~/.local/state/keytray/openclaw/0123456789abcdef.link <<END
{"v": 1, "program": {"path": "/bin/false", "beside": []}, "dir": "$HOME/.openclaw-other", "root": "$HOME/.local/state/keytray", "resolver": "$HOME/.local/share/keytray/bin/keytray", "profiles": []}
END`

// resolves wants OpenClaw's copy of Keytray to be of a version, soon.
func (l life) resolves(t *testing.T, version string) {
	t.Helper()
	const wait = `for i in $(seq 300); do
	! ~/.local/share/keytray/bin/keytray version 2>&1 | grep -F "$version" || exit 0
	sleep 0.2
done
exit 1`
	run(t, l.place, false, "version="+version+"\n"+wait)
}

// tree is what the package has installed.
func (l life) tree(t *testing.T) string {
	t.Helper()
	return run(t, l.place, true, "find /usr /etc /home/ada/.local/bin /home/ada/.local/share -name '*keytray*' ! -type d ! -path '*/rpm/*' ! -path '*/.local/share/keytray/*' ! -path '/var/*' 2>/dev/null | sort; true")
}
