package setup_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/sink"
)

// TestAKilledRunIsSweptInTime also by a program that has run for long.
func TestAKilledRunIsSweptInTime(t *testing.T) {
	home := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &setup.World{Environ: []string{"HOME=" + home}, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
		s := setup.Supplies{World: w, Store: sink.Open(filepath.Join(home, "root"), filepath.Join(home, "place"), nil), Do: func(context.Context) error { return nil }}
		s.Look(t.Context())
		homes, err := w.Homes()
		if err != nil {
			t.Fatal(err)
		}
		left := filepath.Join(homes.Dir, "left")
		if err := os.MkdirAll(filepath.Join(left, "owners"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(left, "owners", "dead"), nil, 0o600); err != nil { // nobody has its lock
			t.Fatal(err)
		}
		for range 5 {
			time.Sleep(time.Minute)
			s.Look(t.Context())
		}
		s.Wait()
		if !disk.Exists(left) {
			t.Error("it is looked for without a rest")
		}
		for range 6 {
			time.Sleep(time.Minute)
			s.Look(t.Context())
		}
		s.Wait()
		if disk.Exists(filepath.Join(left, "owners", "dead")) {
			t.Error("what a killed run left is still there")
		}
	})
}
