//go:build linux

package keychain

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// There is no Mac here. What is tested is our half: the arguments, the lines,
// the limits, the exit codes, the process group; against a stand-in for
// /usr/bin/security that splits its lines as Apple's program does, keeps items
// in files, and answers in a language that is not English.

// StandInVariable makes this test binary a stand-in for security that keeps its
// items in the directory it names.
const StandInVariable = "KEYTRAY_TEST_SECURITY"

// StandIn is the stand-in's main.
func StandIn(dir string, args []string) int {
	if code, err := os.ReadFile(filepath.Join(dir, "exit")); err == nil {
		n, _ := strconv.Atoi(string(code))
		return n
	}
	if _, err := os.Stat(filepath.Join(dir, "hang")); err == nil {
		hang(dir)
	}
	fmt.Fprintln(os.Stderr, "security: eine Warnung, die kein Wert ist")
	if !slices.Equal(args, []string{"-i"}) {
		return standInCommand(dir, args)
	}
	status := 0
	for in := bufio.NewReader(os.Stdin); ; {
		line := make([]byte, 0, maxLine)
		for len(line) < maxLine { // as fgets does: the rest is the next line
			c, err := in.ReadByte()
			if err != nil && len(line) == 0 {
				return status
			}
			if err != nil {
				break
			}
			if line = append(line, c); c == '\n' {
				break
			}
		}
		status = standInCommand(dir, splitLine(string(line)))
	}
}

// hang is a dialog that nobody answers, in a child of security.
func hang(dir string) {
	child := exec.Command("sleep", "600")
	if err := child.Start(); err != nil {
		panic(err)
	}
	pids := fmt.Sprint(os.Getpid(), " ", child.Process.Pid)
	if err := os.WriteFile(filepath.Join(dir, "pids"), []byte(pids), 0o600); err != nil {
		panic(err)
	}
	_ = child.Wait()
}

func standInCommand(dir string, args []string) int {
	flags := map[string]string{}
	for i := 1; i+1 < len(args); i++ {
		if f := args[i]; f == "-s" || f == "-a" || f == "-w" || f == "-wa" {
			flags[f] = args[i+1]
			i++
		}
	}
	account := flags["-a"] + flags["-wa"]
	path := filepath.Join(dir, fmt.Sprintf("item-%x-%x", flags["-s"], account))
	value, err := os.ReadFile(path)
	switch {
	case len(args) == 0:
		return 0
	case args[0] == "add-generic-password":
		if os.WriteFile(path, []byte(flags["-w"]), 0o600) != nil {
			return 1
		}
		return 0
	case err != nil:
		fmt.Fprintln(os.Stderr, "security: Das angegebene Objekt ist nicht im Schlüsselbund.")
		return 44
	case args[0] == "find-generic-password":
		fmt.Printf("%s\n", value)
		return 0
	case args[0] == "delete-generic-password":
		if os.Remove(path) != nil {
			return 1
		}
		return 0
	}
	return 2
}

// splitLine splits a line of security -i as Apple's program does: words end at
// space; a quote at the beginning of a word makes it go on to the same quote,
// which ends the word whatever follows; a backslash takes the next byte as it
// is, inside of quotes too.
func splitLine(line string) []string {
	var words []string
	var word []byte
	var quote byte
	inside, escaped := false, false
	end := func() { words, word, inside, quote = append(words, string(word)), nil, false, 0 }
	for _, c := range []byte(line) {
		space := strings.IndexByte(" \t\r\n\v\f", c) >= 0
		switch {
		case escaped:
			word, escaped = append(word, c), false
		case !inside && space:
		case !inside && (c == '\'' || c == '"'):
			inside, quote = true, c
		case c == '\\':
			inside, escaped = true, true
		case quote != 0 && c == quote, inside && quote == 0 && space:
			end()
		default:
			inside, word = true, append(word, c)
		}
	}
	if inside {
		end()
	}
	return words
}

func TestSplitLineIsNotTheShells(t *testing.T) {
	for line, want := range map[string][]string{
		`a b  c`:                 {"a", "b", "c"},
		`'a b' "c d"`:            {"a b", "c d"},
		`'o'"'"'brien@x'`:        {"o", "'", "brien@x"},
		`'CORP\alice'`:           {"CORPalice"},
		`go-keyring-base64:+/==`: {"go-keyring-base64:+/=="},
	} {
		if got := splitLine(line); !slices.Equal(got, want) {
			t.Errorf("splitLine(%q) = %q, want %q", line, got, want)
		}
	}
}

// onMac gives a keychain over the stand-in, and the directory of its items.
func onMac(t *testing.T) (*Keychain, string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv(StandInVariable, dir)
	t.Setenv("GORACE", "atexit_sleep_ms=0") // for the stand-in: a second per call
	return macIn(t), dir
}

func macIn(t *testing.T) *Keychain {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &Keychain{service: "keytray", store: &loginKeychain{program: program, service: "keytray"}, turn: make(chan struct{}, 1)}
}

func macItem(t *testing.T, dir, name, value string) {
	t.Helper()
	path := filepath.Join(dir, fmt.Sprintf("item-%x-%x", "keytray", name))
	if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMacKeepsWhatItIsGiven(t *testing.T) {
	k, dir := onMac(t)
	for _, n := range []int{0, 1, 2400, 2985, 9000} {
		want := sized(n, "ab \"'\\\n\x00\xff")
		if err := k.Set(t.Context(), "item", want); err != nil {
			t.Fatal(err)
		}
		if got, err := k.Get(t.Context(), "item"); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d, %v", n, len(got), err)
		}
	}
	if err := k.Delete(t.Context(), "item"); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "item-*")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := k.Get(t.Context(), "item"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get() = %v, want ErrNotFound", err)
	}
	if err := k.Barrier(t.Context()); err != nil {
		t.Errorf("Barrier() = %v", err)
	}
}

func TestMacLimitFillsOneLine(t *testing.T) {
	for _, service := range []string{"k", "keytray", strings.Repeat("s", maxName)} {
		for _, name := range []string{"n", strings.Repeat("n", maxName), partName(strings.Repeat("n", maxName), 31)} {
			s := &loginKeychain{service: service}
			n := s.limit(name)
			line := len(addCommand(service, name, strings.Repeat("x", n)))
			longer := len(addCommand(service, name, strings.Repeat("x", n+1)))
			if line > maxLine || longer <= maxLine || n < partSize+overhead {
				t.Errorf("limit(%d, %d) = %d: a line of %d, or %d", len(service), len(name), n, line, longer)
			}
		}
	}
	// What go-keyring's own format allows for names of 20 and 40 bytes.
	if n := (&loginKeychain{service: strings.Repeat("s", 20)}).limit(strings.Repeat("n", 40)); n != 2985 {
		t.Errorf("limit = %d, want 2985", n)
	}
}

func FuzzSecurityLine(f *testing.F) {
	f.Add("keytray", "slot.0", "value")
	f.Add("o'brien", "item", "a\nb")
	f.Add("keytray", `corp\alice`, "'")
	f.Add("keytray", "it em", "")
	f.Add("key\ntray", "item", "")
	f.Fuzz(func(t *testing.T, service, name, value string) {
		if checkName(service, name) != nil {
			return
		}
		line := addCommand(service, name, value)
		words := splitLine(line)
		if len(words) != 8 || words[3] != service || words[5] != name || strings.Count(line, "\n") != 1 {
			t.Fatalf("%q is split into %q", line, words)
		}
	})
}

func TestMacExitCodes(t *testing.T) {
	_, dir := onMac(t)
	for code, want := range map[int]error{44: ErrNotFound, 36: ErrLocked, 51: ErrLocked, 128: ErrDismissed, 45: ErrUnavailable, 1: ErrUnavailable} {
		if err := os.WriteFile(filepath.Join(dir, "exit"), []byte(strconv.Itoa(code)), 0o600); err != nil {
			t.Fatal(err)
		}
		k := macIn(t)
		if _, err := k.Get(t.Context(), "item"); !errors.Is(err, want) {
			t.Errorf("status %d: Get() = %v, want %v", code, err, want)
		}
		if code == 44 {
			want = ErrUnavailable // a write never says that an item is absent
		}
		if err := k.Set(t.Context(), "item", nil); !errors.Is(err, want) || errors.Is(err, ErrNotFound) {
			t.Errorf("status %d: Set() = %v, want %v", code, err, want)
		}
	}
	k := macIn(t)
	k.store = &loginKeychain{program: filepath.Join(dir, "none"), service: "keytray"}
	if _, err := k.Get(t.Context(), "item"); !errors.Is(err, ErrUnavailable) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without security: %v, want ErrUnavailable and no absent item", err)
	}
}

func TestMacDismissedIsNotAskedAgain(t *testing.T) {
	k, dir := onMac(t)
	exit := filepath.Join(dir, "exit")
	if err := os.WriteFile(exit, []byte("128"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Get(t.Context(), "item"); !errors.Is(err, ErrDismissed) {
		t.Errorf("Get() = %v, want ErrDismissed", err)
	}
	if err := os.Remove(exit); err != nil {
		t.Fatal(err)
	}
	if err := k.Set(t.Context(), "item", nil); !errors.Is(err, ErrDismissed) {
		t.Errorf("Set() = %v, want ErrDismissed: security would have been asked again", err)
	}
}

func TestMacItemsOfOthersAreNotOurs(t *testing.T) {
	k, dir := onMac(t)
	for _, value := range []string{"plain", "go-keyring-encoded:6b7431", "go-keyring-base64:cGxhaW4=", "kt1t", ""} {
		macItem(t, dir, "item", value)
		if _, err := k.Get(t.Context(), "item"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: Get() = %v, want ErrNotFound", value, err)
		}
		if err := k.Set(t.Context(), "item", []byte("v")); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: Set() = %v, want ErrCorrupt", value, err)
		}
		if err := k.Delete(t.Context(), "item"); err != nil {
			t.Errorf("%q: Delete() = %v", value, err)
		}
	}
	macItem(t, dir, "item", "go-keyring-base64:!")
	if _, err := k.Get(t.Context(), "item"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("damaged: Get() = %v, want ErrCorrupt", err)
	}
}

func TestMacHungDialogEndsWithItsChildren(t *testing.T) {
	k, dir := onMac(t)
	if err := os.WriteFile(filepath.Join(dir, "hang"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := k.Get(ctx, "item"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Get() = %v, want ErrUnavailable", err)
	}
	var self, child int
	pids, err := os.ReadFile(filepath.Join(dir, "pids"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(pids), &self, &child); err != nil {
		t.Fatal(err)
	}
	if syscall.Kill(self, 0) == nil {
		t.Error("security lives on")
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 400 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		if err != nil || strings.Contains(string(stat), ") Z") || strings.Contains(string(stat), ") X") {
			return
		}
		<-tick.C
	}
	t.Error("security's child lives on")
}

func TestMacWriteThatTimedOutWedges(t *testing.T) {
	k, dir := onMac(t)
	s := k.store.(*loginKeychain)
	if err := os.WriteFile(filepath.Join(dir, "hang"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := s.unlessTimely(ctx, func() error {
		_, err := s.run(ctx, addCommand("keytray", "item", "v"), "-i")
		return err
	}())
	if !errors.Is(err, ErrWedged) {
		t.Fatalf("%v, want ErrWedged", err)
	}
	if k.unsure, _ = errors.AsType[*unfinishedError](err); k.unsure == nil || k.unsure.over() {
		t.Fatal("it does not stay wedged")
	}
	if _, err := k.Get(t.Context(), "item"); !errors.Is(err, ErrWedged) {
		t.Errorf("Get() = %v, want ErrWedged", err)
	}
	if err := os.Remove(filepath.Join(dir, "hang")); err != nil {
		t.Fatal(err)
	}
	if err := k.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Get(t.Context(), "item"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get() = %v, want ErrNotFound", err)
	}
}
