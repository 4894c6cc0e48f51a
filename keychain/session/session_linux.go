package session

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

const (
	daemonName  = "dbus-daemon"
	keyringName = "gnome-keyring-daemon"
	secretsName = "org.freedesktop.secrets"
)

// Session is a running bus and keyring. Its methods are not for use by several
// goroutines at once.
type Session struct {
	dir      string
	sockets  string // dir, or a shorter one
	address  string
	password string
	nursery  *nursery
	bus      *Program
	keyring  *Program
	launched []*Program
}

// Start brings up the bus and the keyring in dir, which must exist and holds
// all of their files, and returns when both answer. An earlier session's keyring
// in dir cannot be opened again: its password lived in memory. The error is a
// [*MissingError] if a program is not installed.
//
// ctx bounds the start only. The caller ends the session with [Session.Close].
func Start(ctx context.Context, dir string) (*Session, error) {
	if err := checkPrograms(daemonProgram, keyringProgram); err != nil {
		return nil, err
	}
	s, err := StartBus(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err := s.StartKeyring(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting a keyring session: %w", err), s.Close())
	}
	return s, nil
}

// StartBus is [Start] without the keyring: a bus with nobody on it.
func StartBus(ctx context.Context, dir string) (*Session, error) {
	if err := checkPrograms(daemonProgram); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("starting a private bus: %w", err)
	}
	s := &Session{dir: dir, password: rand.Text(), nursery: newNursery()}
	err = s.makeDirs()
	if err == nil {
		err = s.startBus(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting a private bus: %w", err), s.Close())
	}
	return s, nil
}

// program is one that has to be installed, and the Debian package that has it.
type program struct{ name, pkg string }

var (
	daemonProgram  = program{daemonName, "dbus"}
	keyringProgram = program{keyringName, "gnome-keyring"}
)

func checkPrograms(programs ...program) error {
	var missing MissingError
	for _, p := range programs {
		if _, err := exec.LookPath(p.name); err != nil {
			missing.Programs = append(missing.Programs, p.name)
			missing.Packages = append(missing.Packages, p.pkg)
		}
	}
	if missing.Programs != nil {
		return &missing
	}
	return nil
}

// makeDirs prepares the directories. A socket's path holds 107 bytes.
func (s *Session) makeDirs() error {
	s.sockets = s.dir
	if len(s.dir)+len("/run/keyring/control") > 107 {
		short, err := os.MkdirTemp("", "kt-")
		if err != nil {
			return err
		}
		s.sockets = short
	}
	for _, d := range []string{s.runtimeDir(), s.dataDir(), s.ServiceDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) runtimeDir() string { return filepath.Join(s.sockets, "run") }

func (s *Session) dataDir() string { return filepath.Join(s.dir, "data") }

// ServiceDir is where D-Bus service files go that the bus shall start programs
// from; it is empty at first.
func (s *Session) ServiceDir() string { return filepath.Join(s.dir, "services") }

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <keep_umask/>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <servicedir>%s</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`

func (s *Session) startBus(ctx context.Context) error {
	config := filepath.Join(s.dir, "bus.conf")
	text := fmt.Sprintf(busConfig, escape(dbus.EscapeBusAddressValue(filepath.Join(s.runtimeDir(), "bus"))), escape(s.ServiceDir()))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	ready, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := exec.Command(daemonName, "--config-file="+config, "--nofork", "--nopidfile", "--print-address=3") //nolint:gosec,noctx // a file of our own; it lives as long as the session
	cmd.Env = s.daemonEnv()
	cmd.ExtraFiles = []*os.File{out}
	s.bus, err = s.nursery.start(cmd, filepath.Join(s.dir, "bus.log"))
	out.Close()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { ready.Close() })
	defer stop()
	line, err := bufio.NewReader(ready).ReadString('\n')
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", daemonName, errors.Join(err, ctx.Err()))
	}
	// Without the guid, which is another one after a restart.
	s.address, _, _ = strings.Cut(strings.TrimSpace(line), ",guid=")
	return nil
}

// RestartBus kills the bus and with it the keyring daemon, if there is one, which
// cannot live without it, and starts them again, at the same address.
func (s *Session) RestartBus(ctx context.Context) error {
	s.KillKeyring()
	s.bus.Kill()
	if err := s.startBus(ctx); err != nil {
		return fmt.Errorf("restarting the bus: %w", err)
	}
	if s.keyring == nil {
		return nil
	}
	return s.StartKeyring(ctx)
}

// Launch starts a program that ends with the session, or with this process if
// that is sooner. It has no terminal, and its output is appended to the file
// log. cmd.Env has to be given: see [Session.Env].
func (s *Session) Launch(cmd *exec.Cmd, log string) (*Program, error) {
	p, err := s.nursery.start(cmd, log)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", filepath.Base(cmd.Path), err)
	}
	s.launched = append(s.launched, p)
	return p, nil
}

var xmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func escape(s string) string { return xmlEscaper.Replace(s) }

// daemonEnv is the whole environment of the daemons: nothing of the caller's
// desktop gets in, so that nothing gets out.
func (s *Session) daemonEnv() []string {
	env := []string{
		"PATH=/usr/bin:/bin",
		"HOME=" + s.dir,
		"LANG=C.UTF-8",
		"XDG_RUNTIME_DIR=" + s.runtimeDir(),
		"XDG_DATA_HOME=" + s.dataDir(),
		"XDG_CONFIG_HOME=" + filepath.Join(s.dir, "config"),
		"XDG_CACHE_HOME=" + filepath.Join(s.dir, "cache"),
		"GSETTINGS_BACKEND=memory",
	}
	if s.address != "" {
		env = append(env, "DBUS_SESSION_BUS_ADDRESS="+s.address)
	}
	return env
}

// Env is what a program needs in its environment to be in the session. HOME is
// not part of it.
func (s *Session) Env() []string {
	return []string{"DBUS_SESSION_BUS_ADDRESS=" + s.address, "XDG_RUNTIME_DIR=" + s.runtimeDir()}
}

// Address is the address of the bus.
func (s *Session) Address() string { return s.address }

// Password is the one of the keyring, for a test that plays the person.
func (s *Session) Password() string { return s.password }

// BusPID and KeyringPID are for tests that stop and kill the daemons.
func (s *Session) BusPID() int { return s.bus.PID() }

// KeyringPID is the process of the keyring daemon.
func (s *Session) KeyringPID() int { return s.keyring.PID() }

// KeyringEnd tells how the keyring daemon ended and what it said last, if it has
// ended by itself; empty if it has not. It is for tests that have failed.
func (s *Session) KeyringEnd() string {
	if s.keyring == nil {
		return ""
	}
	select {
	case <-s.keyring.Done():
	default:
		return ""
	}
	said, _ := os.ReadFile(filepath.Join(s.dir, "keyring.log"))
	return fmt.Sprintf("%s ended: %v\n%s", keyringName, s.keyring.Wait(), said[max(len(said)-2000, 0):])
}

// Close ends the programs and waits for them; a second call does nothing. Files stay in the directory given
// to [Start].
func (s *Session) Close() error {
	if s.nursery == nil {
		return nil
	}
	for _, p := range slices.Backward(s.launched) {
		p.Kill()
	}
	s.keyring.Kill()
	s.bus.Kill()
	s.nursery.close()
	s.nursery = nil
	if s.sockets != "" && s.sockets != s.dir {
		return os.RemoveAll(s.sockets)
	}
	return nil
}
