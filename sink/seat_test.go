package sink_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/sink/sinktest"
)

func TestThereIsOneSeat(t *testing.T) {
	base := t.TempDir()
	open := func(root string) *sink.Store {
		return sink.Open(filepath.Join(base, root), filepath.Join(base, "place"), &sinktest.Keychain{})
	}
	sit := func(s *sink.Store, want bool) func() {
		t.Helper()
		release, taken, err := s.Seat(t.Context())
		if err != nil || taken != want {
			t.Fatalf("seat = %v, %v, want %v", taken, err, want)
		}
		return release
	}
	a, b := open("root"), open("root")
	release := sit(a, true)
	sit(a, false)
	sit(b, false)
	if got := b.SeatHolder(); got != os.Getpid() {
		t.Errorf("holder = %d, want %d", got, os.Getpid())
	}
	sit(open("other"), true)()
	release()
	sit(b, true)()
	sit(a, true)()
}

// TestTheSeatOutlivesNobody takes the seat in another process, which is killed.
func TestTheSeatOutlivesNobody(t *testing.T) {
	if base := os.Getenv("KEYTRAY_TEST_SEAT"); base != "" {
		release, taken, err := sink.Open(filepath.Join(base, "root"), filepath.Join(base, "place"), &sinktest.Keychain{}).Seat(t.Context())
		defer release() // never runs, but without it the collector would close the lock's file
		fmt.Printf("seat %v %v\n", taken, err)
		select {}
	}
	base := t.TempDir()
	s := sink.Open(filepath.Join(base, "root"), filepath.Join(base, "place"), &sinktest.Keychain{})
	holder := exec.Command(os.Args[0], "-test.run=^TestTheSeatOutlivesNobody$", "-test.v")
	holder.Env = append(os.Environ(), "KEYTRAY_TEST_SEAT="+base)
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "seat true <nil>"; {
	}
	if _, taken, err := s.Seat(t.Context()); err != nil || taken {
		t.Errorf("beside its holder: %v, %v", taken, err)
	}
	if got := s.SeatHolder(); got != holder.Process.Pid {
		t.Errorf("holder = %d, want %d", got, holder.Process.Pid)
	}
	_ = holder.Process.Kill()
	_ = holder.Wait()
	deadline := time.Now().Add(5 * time.Second)
	for {
		release, taken, err := s.Seat(t.Context())
		if taken {
			release()
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("after the holder's death: %v, %v", taken, err)
		}
	}
}

// TestOneTrayForAllRoots: the seat is a root's, the place of a program a
// person's.
func TestOneTrayForAllRoots(t *testing.T) {
	base := t.TempDir()
	sole := func(root, kind string, want bool) func() {
		t.Helper()
		s := sink.Open(filepath.Join(base, root), filepath.Join(base, "place"), &sinktest.Keychain{})
		release, taken, err := s.Sole(t.Context(), kind)
		if err != nil || taken != want {
			t.Fatalf("sole %s of %s = %v, %v, want %v", kind, root, taken, err, want)
		}
		return release
	}
	release := sole("root", "tray", true)
	sole("root", "tray", false)
	sole("other", "tray", false)
	sole("root", "another", true)()
	release()
	sole("other", "tray", true)()
}
