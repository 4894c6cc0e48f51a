//go:build linux

package loan_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/loan"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv("LOAN_HELPER") == "":
		hearSignals()
		os.Exit(m.Run())
	case os.Args[1] == "count":
		count()
	default:
		os.Exit(help(os.Args[1:]))
	}
}

// hearSignals undoes what nohup, and a shell's &, did to this process: a signal that
// is ignored when a program starts stays ignored in it, and in all that it starts.
func hearSignals() {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s) // what is caught is reset in children
		}
	}
}

// count says each signal that arrives. SIGTERM ends it.
func count() {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGQUIT, syscall.SIGCONT)
	fmt.Println("ready")
	for s := range signals {
		fmt.Printf("got %d\n", s)
		if s == syscall.SIGTERM {
			os.Exit(3)
		}
	}
}

// help is what another process of a test does: run a shell script, become one, or
// open a home and wait to be killed.
func help(args []string) int {
	sh := loan.Child{Path: "/bin/sh", Args: []string{"sh", "-c", args[1]}, Env: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	switch args[0] {
	case "run":
		code, err := sh.Run()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 99
		}
		return code
	case "become":
		fmt.Fprintln(os.Stderr, sh.Become("TOKEN_FD", []byte(args[2])))
		return 99
	}
	h, err := loan.Homes{Dir: args[1], Place: args[2]}.Open(context.Background(), "a", client.Source{Program: "codex", Path: filepath.Join(args[3], "auth.json")})
	if err == nil {
		err = h.Write(context.Background(), func() ([]byte, error) { return []byte(lent), nil })
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(h.Dir, "made"), []byte("by the killed one"), 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	fmt.Println(h.Dir)
	select {}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]int{
		"exit 0": 0, "exit 7": 7, "exit 255": 255, "kill -TERM $$": 143, "kill -KILL $$": 137, "kill -INT $$": 130,
	} {
		cmd := helper(t.Context(), "run", script)
		_ = cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("%s: exit code %d, want %d", script, got, want)
		}
	}
}

func TestATokenOnAPipe(t *testing.T) {
	t.Parallel()
	out, err := helper(t.Context(), "become", `cat <&$TOKEN_FD; echo; cat <&$TOKEN_FD; ls /proc/self/fd`, "secret").Output()
	if err != nil || !strings.HasPrefix(string(out), "secret\n") || strings.Count(string(out), "secret") != 1 {
		t.Errorf("the program reads %q, %v", out, err)
	}
	if out, err := helper(t.Context(), "become", "echo started", strings.Repeat("x", 5000)).Output(); err == nil || len(out) > 0 {
		t.Errorf("a text that does not fit: %q, %v", out, err)
	}
}

// TestSignalsArePassedOn where there is no terminal, and each once.
func TestSignalsArePassedOn(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	must(t, err)
	cmd := helper(t.Context(), "run", "exec "+self+" count")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var out transcript
	cmd.Stdout = &out
	must(t, cmd.Start())
	out.await(t, "ready", 1)
	all := []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGQUIT, syscall.SIGCONT, syscall.SIGTERM}
	for _, sig := range all {
		must(t, cmd.Process.Signal(sig))
		out.await(t, fmt.Sprintf("got %d\n", sig), 1)
	}
	_ = cmd.Wait()
	if got := strings.Count(out.String(), "got"); got != len(all) || cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("%d signals arrived, want %d, and %v:\n%s", got, len(all), cmd.ProcessState, out.String())
	}
}

// TestCtrlC reaches the program once, though it is in one group with us.
func TestCtrlC(t *testing.T) {
	t.Parallel()
	tty := newTerminal(t, `exec $SELF count`)
	tty.await(t, "ready", 1)
	const presses = 20 // two signals that come together may count as one
	for n := range presses {
		tty.press(t, "\x03")
		tty.await(t, "got 2", n+1)
		pass(t, 20*time.Millisecond)
	}
	if n := strings.Count(tty.String(), "got 2"); n != presses {
		t.Errorf("%d Ctrl-C arrived %d times:\n%s", presses, n, tty.String())
	}
	must(t, syscall.Kill(tty.pid(t), syscall.SIGTERM))
	tty.await(t, "ended 3", 1)
}

// TestCtrlZ stops both, and the shell gets its terminal back; fg continues them.
func TestCtrlZ(t *testing.T) {
	t.Parallel()
	tty := newTerminal(t, `echo ready; n=0; while test $n -lt 60; do sleep 0.02; n=$((n+1)); done; exit 5`)
	tty.await(t, "ready", 1)
	tty.press(t, "\x1a")
	tty.await(t, "Stopped", 1)
	tty.press(t, "fg; echo ended $?\n")
	tty.await(t, "ended 5", 1)
}

// TestAProgramThatStopsItself, as some do in place of Ctrl-Z, takes us along.
func TestAProgramThatStopsItself(t *testing.T) {
	t.Parallel()
	tty := newTerminal(t, `kill -STOP $$; echo continued; exit 6`)
	tty.await(t, "Stopped", 1)
	tty.press(t, "fg; echo ended $?\n")
	tty.await(t, "ended 6", 1)
	if n := strings.Count(tty.String(), "Stopped"); n != 1 {
		t.Errorf("stopped %d times:\n%s", n, tty.String())
	}
}

// TestTheProgramDiesWithUs.
func TestTheProgramDiesWithUs(t *testing.T) {
	t.Parallel()
	cmd := helper(t.Context(), "run", `echo pid $$; exec sleep 60`)
	var out transcript
	cmd.Stdout = &out
	must(t, cmd.Start())
	out.await(t, "pid ", 1)
	out.await(t, "\n", 1)
	pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(out.String(), "pid ")))
	must(t, err)
	must(t, cmd.Process.Kill())
	_ = cmd.Process.Release()
	for deadline := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil; pass(t, 20*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d outlives the one that ran it", pid)
		}
	}
}

// terminal is a shell with job control on a terminal of its own, and what it shows.
type terminal struct {
	transcript

	master *os.File
	shell  *exec.Cmd
}

// newTerminal starts a shell that runs script by our helper, in front, and says how
// it ended.
func newTerminal(t *testing.T, script string) *terminal {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash")
	}
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	must(t, err)
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	must(t, err)
	defer slave.Close()
	tty := &terminal{master: master}
	self, err := os.Executable()
	must(t, err)
	tty.shell = exec.CommandContext(t.Context(), "bash", "--norc", "--noprofile", "-i")
	tty.shell.Env = append(os.Environ(), "LOAN_HELPER=1", "SELF="+self, "SCRIPT="+script, "PS1=", "HISTFILE=")
	tty.shell.Stdin, tty.shell.Stdout, tty.shell.Stderr = slave, slave, slave
	tty.shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(t, tty.shell.Start())
	go func() { // ends with the terminal
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			_, _ = tty.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = tty.shell.Process.Kill()
		_ = tty.shell.Wait()
		_ = master.Close()
	})
	tty.press(t, "$SELF run \"$SCRIPT\"; code=$?; test $code = 148 || test $code = 147 || echo ended $code\n")
	return tty
}

func (x *terminal) press(t *testing.T, keys string) {
	t.Helper()
	_, err := x.master.WriteString(keys)
	must(t, err)
}

// pid is that of the helper, the shell's child.
func (x *terminal) pid(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", x.shell.Process.Pid, x.shell.Process.Pid))
	must(t, err)
	pid, err := strconv.Atoi(strings.Fields(string(b))[0])
	must(t, err)
	return pid
}
