//go:build !windows

package worker_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keytray/keytray/worker"
)

// script is a worker that a shell plays.
func script(t *testing.T, text string) worker.Child {
	t.Helper()
	return worker.Child{Path: "/bin/sh", Args: []string{"sh", "-c", text}, Limit: 300 * time.Millisecond}
}

const (
	saysStarted = `read request; echo '{"event":"started"}';`
	saysDone    = `echo '{"event":"done","profile":{"id":"acme:a","generation":2}}';`
)

func TestAChildEndsWithItsResult(t *testing.T) {
	t.Parallel()
	long := `head -c 200000 /dev/zero | tr '\0' x; echo;`
	for _, c := range []struct {
		name, script, want string
	}{
		{"done", saysStarted + saysDone, ""},
		{"error", saysStarted + `echo '{"event":"error","code":"later","exit":5,"message":"not now"}'; exit 5`, "not now"},
		{"nonsense on the way", saysStarted + `echo nonsense; echo '[]'; echo '{"event":7}';` + saysDone, ""},
		{"no result", saysStarted + "exit 3", "exit status 3"},
		{"silence", "", "without a result"},
		{"a line without an end", saysStarted + long + saysDone, "without a result"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			child := script(t, c.script)
			child.Limit = time.Minute
			err := child.Do(t.Context(), worker.Request{Do: "probe"}, nil, nil)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("Do = %v, want %q", err, c.want)
			}
		})
	}
	err := script(t, `echo '{"event":"error","code":"later","exit":5}'`).Do(t.Context(), worker.Request{}, nil, nil)
	if f, ok := errors.AsType[*worker.FailureError](err); !ok || f.Exit != 5 || f.Code != "later" {
		t.Errorf("Do = %#v, want the worker's failure", err)
	}
	if err := (worker.Child{Path: filepath.Join(t.TempDir(), "no")}).Do(t.Context(), worker.Request{}, nil, nil); err == nil {
		t.Error("a worker that does not exist was started")
	}
}

// What hangs is killed, unless it may hold what nobody else has.
func TestAHungChildIsKilledOnlyWhereNothingIsAtStake(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for what hangs")
	}
	const hang = `trap '' TERM INT HUP; while :; do sleep 1; done`
	for _, c := range []struct {
		name, says string
		want       error
	}{
		{"before it said a word", "", worker.ErrHung},
		{"before sending", "started", worker.ErrHung},
		{"sending", "started sending", worker.ErrLeft},
		{"a sign-in that has its tokens", "started url received", worker.ErrLeft},
		{"journalled", "started sending journalled", worker.ErrHung},
		{"committed", "started sending committed", worker.ErrHung},
		{"after a dialog", "asking wait answered", worker.ErrHung},
		{"sending again", "started sending journalled sending", worker.ErrLeft},
		{"sending after the limit", "started wait sending", worker.ErrLeft},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pids := filepath.Join(t.TempDir(), "pid")
			var says strings.Builder
			for word := range strings.FieldsSeq(c.says) {
				if word == "wait" {
					says.WriteString("sleep 1;")
					continue
				}
				says.WriteString(`echo '{"event":"` + word + `"}';`)
			}
			begun := time.Now()
			err := script(t, `echo $$ >`+pids+`;`+says.String()+hang).Do(t.Context(), worker.Request{}, nil, nil)
			pid := number(t, pids)
			defer func() { _ = syscall.Kill(-pid, syscall.SIGKILL) }()
			if !errors.Is(err, c.want) {
				t.Errorf("Do = %v, want %v", err, c.want)
			}
			if took := time.Since(begun); errors.Is(c.want, worker.ErrLeft) && !strings.Contains(c.says, "wait") && took > 3*time.Second {
				t.Errorf("it was left after %v, want at the limit", took)
			}
			if alive := syscall.Kill(pid, 0) == nil; alive != errors.Is(c.want, worker.ErrLeft) {
				t.Errorf("alive = %v", alive)
			}
			if sid, _ := unix.Getsid(pid); errors.Is(c.want, worker.ErrLeft) && sid != pid {
				t.Errorf("it is in session %d, want one of its own", sid)
			}
		})
	}
}

// A dialog waits for a person beyond the limit, and nobody hurries them.
func TestAChildThatAsksIsNotHurried(t *testing.T) {
	t.Parallel()
	child := script(t, `read request; exec 3<&0; echo '{"event":"asking"}'
		(read line <&3; echo '{"event":"error","code":"hurried","message":"hurried"}'; kill $$) &
		sleep 1; echo '{"event":"answered"}'; kill $!; `+saysDone)
	if err := child.Do(t.Context(), worker.Request{Do: "add"}, nil, nil); err != nil {
		t.Errorf("Do = %v", err)
	}
}

func number(t *testing.T, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range strings.TrimSpace(string(b)) {
		n = n*10 + int(c-'0')
	}
	return n
}

func TestAChildIsToldOfTheEndAndOfCommands(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	commands := make(chan worker.Command, 1)
	commands <- worker.Command{Cmd: "paste"}
	close(commands)
	// It answers each line that it reads, and ends after a cancel.
	child := script(t, `while read line; do
		case $line in
		*login*) echo '{"event":"started"}'; echo '{"event":"url","url":"https://acme.example"}';;
		*paste*) echo '{"event":"refused","code":"no_dialog"}';;
		*cancel*) echo '{"event":"error","code":"cancelled"}'; exit 1;;
		esac
	done`)
	var told []string
	err := child.Do(ctx, worker.Request{Do: "login"}, commands, func(e worker.Event) {
		told = append(told, e.Event)
		if e.Event == "refused" {
			time.AfterFunc(500*time.Millisecond, cancel) // after the limit, which does not count for a person
		}
	})
	if f, ok := errors.AsType[*worker.FailureError](err); !ok || f.Code != "cancelled" {
		t.Errorf("Do = %v, want cancelled", err)
	}
	slices.Sort(told)
	if want := []string{"error", "refused", "started", "url"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

func TestAChildThatWorksIsLeftWhenWeEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("waits 25 s")
	}
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	file := filepath.Join(t.TempDir(), "done")
	child := script(t, `echo '{"event":"sending"}'; sleep 27; echo yes >`+file)
	child.Limit = time.Minute
	begun := time.Now()
	err := child.Do(ctx, worker.Request{}, nil, func(worker.Event) { cancel() })
	if took := time.Since(begun); !errors.Is(err, worker.ErrLeft) || took < 24*time.Second || took > 27*time.Second {
		t.Errorf("Do = %v after %v, want ErrLeft after 25s", err, took)
	}
	for {
		if _, err := os.Stat(file); err == nil {
			return
		}
		if time.Since(begun) > 40*time.Second {
			t.Fatal("it did not finish")
		}
		time.Sleep(50 * time.Millisecond)
	}
}
