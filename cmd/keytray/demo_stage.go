package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/keychain/session"
	"github.com/keytray/keytray/oauth/oauthtest"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
)

// stage is where the demo plays: a folder that is removed in the end, and a
// keychain, the person's own or a private one.
type stage struct {
	dir     string
	bus     string           // address of the session bus
	private *session.Session // nil where the keychain is the person's own, or in files
	home    string           // of the programs that the demo starts; empty is the person's
	keys    *recorder
}

// buildStage makes the folder and finds a keychain: with inFiles one of encrypted
// files in that folder, else the person's, if it can be used without asking anybody,
// else one of our own. Tell says what takes long.
func buildStage(ctx context.Context, bus string, inFiles bool, log *slog.Logger, tell func(string)) (*stage, error) {
	dir, err := os.MkdirTemp("", "keytray-demo-")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, bus: bus}
	if inFiles {
		err = s.makeFileKeychain(ctx, log)
	} else {
		err = s.findKeychain(ctx, tell)
	}
	if err != nil {
		return nil, errors.Join(err, s.strike(ctx))
	}
	return s, nil
}

// makeFileKeychain has a person who lives in the folder choose encrypted files.
func (s *stage) makeFileKeychain(ctx context.Context, log *slog.Logger) error {
	s.home = filepath.Join(s.dir, "home")
	w := &setup.World{Environ: s.environ(nil), Stderr: io.Discard, Log: log}
	if err := w.Choose(ctx, setup.Wanted{Keychain: setup.KeychainFile}); err != nil {
		return err
	}
	secrets, err := w.Secrets()
	s.keys = &recorder{Secrets: secrets}
	return err
}

// environ is that of the programs that the demo starts.
func (s *stage) environ(own []string) []string {
	if s.private != nil {
		return append(slices.Clone(own), "DBUS_SESSION_BUS_ADDRESS="+s.bus)
	}
	if s.home == "" {
		return own
	}
	return append(slices.Clone(own), "HOME="+s.home, "USERPROFILE="+s.home, "LOCALAPPDATA="+s.home, "CREDENTIALS_DIRECTORY=", "SUDO_UID=") // of nobody else
}

func (s *stage) findKeychain(ctx context.Context, tell func(string)) error {
	own := keychain.Open(keychain.Options{Bus: s.bus})
	_, unusable := own.Get(ctx, "demo")
	if errors.Is(unusable, keychain.ErrNotFound) {
		s.keys = &recorder{Secrets: own}
		return nil
	}
	var err error
	s.private, err = startSession(ctx, s.dir, tell)
	if errors.Is(err, errors.ErrUnsupported) { // another system than Linux
		return unusable
	}
	if err != nil {
		return err
	}
	s.bus = s.private.Address()
	s.keys = &recorder{Secrets: keychain.Open(keychain.Options{Bus: s.bus})}
	return nil
}

// startSession starts a bus and a keyring, after installing them where we may.
func startSession(ctx context.Context, dir string, tell func(string)) (*session.Session, error) {
	private, err := session.Start(ctx, dir)
	missing, ok := errors.AsType[*session.MissingError](err)
	if !ok {
		return private, err
	}
	if err := install(ctx, missing.Packages, tell); err != nil {
		return nil, err
	}
	return session.Start(ctx, dir)
}

// install installs Debian packages as root; else its error says how to.
func install(ctx context.Context, packages []string, tell func(string)) error {
	list := strings.Join(packages, " ")
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return setup.Hinted(errors.New("there is no keychain to use here, and for a private one programs are missing"), "on Debian and its kin, as root: apt-get install "+list+"; or without them: keytray demo --keychain file")
	}
	tell("installing " + list)
	// The package lists of a fresh machine are empty: then they are fetched first.
	get := []string{"-qq", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "install"}
	if aptGet(ctx, append(get, packages...)...) == nil {
		return nil
	}
	if err := aptGet(ctx, "-qq", "update"); err != nil {
		return fmt.Errorf("installing %s: %w", list, err)
	}
	if err := aptGet(ctx, append(get, packages...)...); err != nil {
		return fmt.Errorf("installing %s: %w", list, err)
	}
	return nil
}

func aptGet(ctx context.Context, args ...string) error {
	args = append([]string{"DEBIAN_FRONTEND=noninteractive", "apt-get"}, args...)
	cmd := exec.CommandContext(ctx, "env", args...) //nolint:gosec // the packages are named in package session
	// A package half unpacked is worse than one more second.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("apt-get: %w: %s", err, lastLine(string(out)))
	}
	return nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// recorder is a keychain that knows which items were left in it.
type recorder struct {
	sink.Secrets
	items []string // in the order of their writing
}

// Set implements sink.Secrets.
func (r *recorder) Set(ctx context.Context, name string, value []byte) error {
	if !slices.Contains(r.items, name) {
		r.items = append(r.items, name) // first: a write that failed may have been done
	}
	return r.Secrets.Set(ctx, name, value)
}

// Delete implements sink.Secrets.
func (r *recorder) Delete(ctx context.Context, name string) error {
	err := r.Secrets.Delete(ctx, name)
	if err == nil {
		r.items = slices.DeleteFunc(r.items, func(item string) bool { return item == name })
	}
	return err
}

// clear deletes what is left.
func (r *recorder) clear(ctx context.Context) error {
	var errs []error
	for _, name := range slices.Clone(r.items) {
		errs = append(errs, r.Delete(ctx, name))
	}
	return errors.Join(errs...)
}

// strike takes the stage down: what is left in the keychain, the session, the
// folder. It is done also after a Ctrl-C.
func (s *stage) strike(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	var errs []error
	if s.keys != nil {
		errs = append(errs, s.keys.clear(ctx))
	}
	if s.private != nil {
		errs = append(errs, s.private.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// search looks for secrets in all files below the given folders.
func search(secrets []string, dirs ...string) (files int, found []string, err error) {
	look := func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path) //nolint:gosec // a file of the demo's own
		if err != nil {
			return err
		}
		files++
		if slices.ContainsFunc(secrets, func(s string) bool { return bytes.Contains(b, []byte(s)) }) {
			found = append(found, path)
		}
		return nil
	}
	for _, dir := range dirs {
		err = errors.Join(err, filepath.WalkDir(dir, look))
	}
	return files, found, err
}

func (s *stage) root() string { return filepath.Join(s.dir, "state") }

func (s *stage) place() string { return filepath.Join(s.dir, "place") }

// writeProvider lets the programs that the demo starts know the server.
func (s *stage) writeProvider(server *oauthtest.Server) error {
	folder := filepath.Join(s.root(), provider.Folder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	var text bytes.Buffer
	if err := server.WriteProvider(&text); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "demo.json"), text.Bytes(), 0o600)
}
