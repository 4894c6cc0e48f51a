//go:build linux

package vault_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/keychain/vault"
	"github.com/keytray/keytray/sealed"
	"github.com/keytray/keytray/secret"
)

// clientVariable makes a process of this test a client of the vault in that
// folder, whose key lies beside it.
const clientVariable = "KEYTRAY_TEST_VAULT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(clientVariable); dir != "" {
		os.Exit(client(dir, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// client carries out "set NAME VALUE", "get NAME", "delete NAME" or "fill NAME",
// which sets ever new values.
func client(dir string, args []string) int {
	k := vault.Open(dir, func() (sealed.Key, error) {
		b, err := os.ReadFile(dir + ".key")
		if err != nil {
			return sealed.Key{}, err
		}
		return sealed.ParseKey(b, secret.Text{})
	})
	ctx := context.Background()
	var err error
	switch args[0] {
	case "set":
		err = k.Set(ctx, args[1], []byte(args[2]))
	case "get":
		var value []byte
		value, err = k.Get(ctx, args[1])
		fmt.Print(string(value))
	case "delete":
		err = k.Delete(ctx, args[1])
	case "fill":
		for n := 0; err == nil; n++ {
			if err = k.Set(ctx, args[1], valueOf(args[1], n)); err == nil {
				fmt.Println(n)
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// valueOf is one that proves itself.
func valueOf(name string, n int) []byte {
	return fmt.Appendf(nil, "%s %d %s", name, n, strings.Repeat("x", n%5000))
}

// processVault is a vault that clients can open.
func processVault(t *testing.T) (dir string, open func() *vault.Vault) {
	t.Helper()
	dir, key, open := newVault(t)
	b, err := key.File(secret.Text{})
	if err == nil {
		err = os.WriteFile(dir+".key", b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, open
}

func command(dir string, argv ...string) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), clientVariable+"="+dir)
	return cmd
}

// TestTwoHundredProcesses write and read at once, each an item of its own; all read
// one that is written all the time.
func TestTwoHundredProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts hundreds of processes")
	}
	dir, open := processVault(t)
	k := open()
	if err := k.Set(t.Context(), "shared", valueOf("shared", 0)); err != nil {
		t.Fatal(err)
	}
	writer := command(dir, os.Args[0], "fill", "shared")
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	var crowd sync.WaitGroup
	began := time.Now()
	for i := range 200 {
		crowd.Go(func() {
			name := fmt.Sprintf("item%d", i)
			if out, err := command(dir, os.Args[0], "set", name, name).CombinedOutput(); err != nil {
				t.Errorf("process %d: %v: %s", i, err, out)
			}
			if out, err := command(dir, os.Args[0], "get", "shared").CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "shared ") {
				t.Errorf("process %d read %.40q, %v", i, out, err)
			}
		})
	}
	crowd.Wait()
	t.Logf("200 processes wrote and 200 read in %s", time.Since(began).Round(time.Millisecond))
	_ = writer.Process.Kill()
	_ = writer.Wait()
	for i := range 200 {
		name := fmt.Sprintf("item%d", i)
		if got, err := k.Get(t.Context(), name); string(got) != name {
			t.Errorf("%s = %q, %v", name, got, err)
		}
	}
}

// TestKillsInTheMiddleOfWrites: eight processes write without end and are killed at
// random. Each item has afterwards the last value that was confirmed or the one
// that came after it, and the next writer is not kept out.
func TestKillsInTheMiddleOfWrites(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	dir, open := processVault(t)
	var crowd sync.WaitGroup
	for i := range 8 {
		crowd.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), uint64(time.Now().UnixNano())))
			for range 12 {
				killWriter(t, dir, open(), fmt.Sprintf("item%d", i), time.Duration(20+r.IntN(150))*time.Millisecond)
			}
		})
	}
	crowd.Wait()
}

// killWriter lets a process write for a while, and looks at what it left.
func killWriter(t *testing.T, dir string, k *vault.Vault, name string, after time.Duration) {
	t.Helper()
	var out strings.Builder
	cmd := command(dir, os.Args[0], "fill", name)
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return
	}
	<-time.After(after)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	confirmed := strings.Count(out.String(), "\n") // 0 is none, 1 is value 0
	got, err := k.Get(t.Context(), name)
	if err != nil && (confirmed > 0 || !errors.Is(err, keychain.ErrNotFound)) {
		t.Errorf("%s after a kill: %v, with %d values confirmed", name, err, confirmed)
		return
	}
	if err == nil && string(got) != string(valueOf(name, confirmed)) && (confirmed == 0 || string(got) != string(valueOf(name, confirmed-1))) {
		t.Errorf("%s after a kill is %.40q, want value %d or %d", name, got, confirmed-1, confirmed)
	}
	if err := errors.Join(k.Barrier(t.Context()), k.Set(t.Context(), name, valueOf(name, 0)), k.Delete(t.Context(), name)); err != nil {
		t.Errorf("%s after a kill: %v", name, err)
	}
}

// TestAStoppedWriterIsFencedOff: it keeps nobody from reading or writing, and what
// it left undone for a minute is never done.
func TestAStoppedWriterIsFencedOff(t *testing.T) {
	strace(t)
	t.Parallel()
	dir, open := processVault(t)
	k := open()
	if err := k.Set(t.Context(), "item", []byte("old")); err != nil {
		t.Fatal(err)
	}
	cmd := command(dir, "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat", "-e", "inject=renameat:delay_enter=1500000",
		os.Args[0], "set", "item", "late")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	temp := ""
	for end := time.Now().Add(20 * time.Second); temp == ""; <-time.After(time.Millisecond) {
		if left, _ := filepath.Glob(filepath.Join(dir, ".item.*.tmp")); len(left) == 1 {
			temp = left[0]
		} else if time.Now().After(end) {
			t.Fatal("it never began to write")
		}
	}
	if err := errors.Join(k.Barrier(t.Context()), k.Set(t.Context(), "item", []byte("new"))); err != nil {
		t.Errorf("while another is in the middle of a write: %v", err)
	}
	if _, err := os.Stat(temp); err != nil {
		t.Errorf("a write that has just begun was ended: %v", err)
	}
	past := time.Now().Add(-2 * time.Minute)
	if err := errors.Join(os.Chtimes(temp, past, past), k.Barrier(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("a write that was fenced off says that it was done")
	}
	if got, err := k.Get(t.Context(), "item"); string(got) != "new" {
		t.Errorf("Get = %q, %v, want new", got, err)
	}
}

func strace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("missing: strace")
		}
		t.Skip("missing: strace (e2e/setup.sh installs it)")
	}
}

// TestSystemCallsFailOrKill: at each step of a write the process is killed, or the
// call fails. The item has the old value or the new one, an error is one, and the
// next write works.
func TestSystemCallsFailOrKill(t *testing.T) {
	t.Parallel()
	strace(t)
	const before, after = "before", "after"
	for _, tt := range []struct{ call, on, effect, want string }{ // on: a file, else the first such call
		{"write", "", "signal=KILL", before},
		{"fsync", "", "signal=KILL", before},
		{"renameat", "", "signal=KILL", before},
		{"fsync", ".", "signal=KILL", after},
		{"write", "", "error=ENOSPC", before},
		{"write", "", "error=EDQUOT", before},
		{"fsync", "", "error=EIO", before},
		{"renameat", "", "error=EROFS", before},
		{"fsync", ".", "error=EIO", after},
		{"openat", "Key.age", "error=EIO", before},
	} {
		t.Run(tt.call+" "+tt.on+" "+tt.effect, func(t *testing.T) {
			t.Parallel()
			dir, open := processVault(t)
			k := open()
			if err := k.Set(t.Context(), "item", []byte(before)); err != nil {
				t.Fatal(err)
			}
			var only []string
			if tt.on != "" {
				only = []string{"-P", filepath.Join(dir, tt.on)}
			}
			argv := slices.Concat([]string{"strace", "-f", "-qq", "-o", "/dev/null"}, only,
				[]string{"-e", "trace=" + tt.call, "-e", "inject=" + tt.call + ":" + tt.effect, os.Args[0], "set", "item", after})
			cmd := command(dir, argv...)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("nothing went wrong: %s", out)
			}
			if got, err := k.Get(t.Context(), "item"); string(got) != tt.want {
				t.Errorf("Get = %q, %v, want %q\n%s", got, err, tt.want, out)
			}
			if err := errors.Join(k.Barrier(t.Context()), k.Set(t.Context(), "item", []byte("next"))); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAFullDisk: a write that has no room is an error, and what was there stays.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	err := syscall.Mount("keytray-test", disk, "tmpfs", 0, "size=256k,mode=700")
	if errors.Is(err, syscall.EPERM) && os.Getenv("CI") != "true" {
		t.Skip("no leave to mount a tmpfs")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	key, err := sealed.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(disk, "vault")
	if err := vault.Create(dir, key); err != nil {
		t.Fatal(err)
	}
	k := with(dir, key)
	n := 0
	for ; err == nil && n < 100; n++ {
		err = k.Set(t.Context(), fmt.Sprintf("item%d", n), valueOf("item", 5000*n+4999))
	}
	if !errors.Is(err, keychain.ErrUnavailable) || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("after %d items: %v, want %v and why", n, err, keychain.ErrUnavailable)
	}
	for i := range n - 1 {
		if got, err := k.Get(t.Context(), fmt.Sprintf("item%d", i)); err != nil || string(got) != string(valueOf("item", 5000*i+4999)) {
			t.Errorf("item%d = %.20q, %v", i, got, err)
		}
	}
	if err := errors.Join(k.Delete(t.Context(), "item0"), k.Set(t.Context(), "item0", []byte("fits again"))); err != nil {
		t.Error(err)
	}
}
