//go:build linux

package packages

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// place is where a document's commands are run: by root and by an ordinary person,
// ada. It has the release in its folder /release, from which they are run.
type place interface {
	// command is a shell's; its standard streams are the caller's business.
	command(asRoot bool, line string) *exec.Cmd
}

// run runs a line of a document there, and is what it said.
func run(t *testing.T, p place, asRoot bool, line string) string {
	t.Helper()
	out, err := p.command(asRoot, line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// follow runs the commands of a document; those with sudo as root.
func follow(t *testing.T, p place, commands []string) string {
	t.Helper()
	var said strings.Builder
	for _, c := range commands {
		line, asRoot := strings.CutPrefix(c, "sudo ")
		said.WriteString(run(t, p, asRoot, line))
	}
	return said.String()
}

// here is this machine, with a home of its own: nothing is installed in it.
type here struct{ home, release string }

func (h here) command(asRoot bool, line string) *exec.Cmd {
	if asRoot {
		line = "echo 'nobody is root here' >&2; exit 1"
	}
	cmd := exec.Command("bash", "-c", line)
	cmd.Dir = h.release
	cmd.Env = []string{"HOME=" + h.home, "TMPDIR=" + h.home, "LANG=C.UTF-8", "PATH=" + filepath.Join(h.home, ".local/bin") + ":/usr/local/bin:/usr/bin:/bin"}
	return cmd
}

// debian is a Debian with nothing in it but what every Debian has, man and
// completions. What is done in it is gone with the test.
type debian struct {
	holder string // a process in its namespace
	dir    string
}

// newDebian lays what is written over base, which stays as it is.
func newDebian(t *testing.T, base, release string) debian {
	t.Helper()
	dir := t.TempDir()
	const setup = `set -e
mount -t tmpfs -o size=1g,mode=755 over "$1"
mkdir "$1/written" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=$2,upperdir=$1/written,workdir=$1/work" root "$1/root"
mount --rbind /dev "$1/root/dev"
mount -t proc proc "$1/root/proc"
mount -t tmpfs -o mode=1777 tmp "$1/root/tmp"
mkdir "$1/root/release"
mount --bind "$3" "$1/root/release"
echo ready
exec cat`
	holder := exec.Command("unshare", "--mount", "sh", "-c", setup, "sh", dir, base, release)
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	holder.Stderr = &said
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // with it go the mounts
		stdin.Close()
		_ = holder.Wait()
	})
	if line, _ := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("making a root to install in: %s", &said)
	}
	d := debian{strconv.Itoa(holder.Process.Pid), filepath.Join(dir, "root")}
	run(t, d, true, "useradd --create-home --shell /bin/bash ada")
	return d
}

func (d debian) command(asRoot bool, line string) *exec.Cmd {
	who, home, path := "ada:ada", "/home/ada", "/home/ada/.local/bin:/usr/local/bin:/usr/bin:/bin"
	if asRoot {
		who, home, path = "root:root", "/root", "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
	}
	return exec.Command("nsenter", "--target", d.holder, "--mount", "--", "chroot", "--userspec="+who, d.dir,
		"env", "-i", "HOME="+home, "PATH="+path, "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "bash", "-c", "cd /release\n"+line)
}

// base is a Debian as debootstrap makes it, from the cache if it was made before.
func base(t *testing.T) string {
	t.Helper()
	needFull(t)
	need(t, "debootstrap", "unshare", "nsenter")
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "keytray-tests", "bookworm")
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return dir
	}
	t.Log("making a Debian with debootstrap, once")
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), "new-") //nolint:usetesting // it is kept
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	if err := os.Chmod(temp, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("debootstrap", "--variant=minbase", "--include=man-db,bash-completion,rpm,cpio", "bookworm", temp).CombinedOutput()
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("no Debian to install in: %v\n%.2000s", err, out)
	}
	if err == nil {
		err = os.Rename(temp, dir)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}
