package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/pkg/browser"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/cmd/tray/autostart"
	"github.com/keytray/keytray/cmd/tray/icon"
	"github.com/keytray/keytray/cmd/tray/view"
	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/notify"
	"github.com/keytray/keytray/sink"
	"github.com/keytray/keytray/worker"
)

const (
	// logLimit is when the log is begun anew; one older is kept. Bytes.
	logLimit = 1 << 20
	// logoffGrace is how long the system waits for us when it ends the session.
	logoffGrace = 4 * time.Second
	// telling is how long a notice may keep a program that ends.
	telling = 5 * time.Second
	// garbage is how much of it may lie about, in percent of what is in use. Here
	// that is a megabyte or two; Go's 100 keeps 2 MiB more of them resident.
	garbage = 50
)

const help = `keytray-tray is Keytray's icon in the panel. It shows how the logins are, signs
in, keeps tokens fresh and tells you what needs you. Its menu has everything;
keytray is the same in a terminal.

Usage: keytray-tray [--state-dir FOLDER] [--version]
`

// errKeychain is what a store in the tray says of the keychain.
var errKeychain = errors.New("the tray does not open the keychain")

// noKeychain is the keychain of a process that must not touch it.
type noKeychain struct{}

func (noKeychain) Get(context.Context, string) ([]byte, error) { return nil, errKeychain }
func (noKeychain) Set(context.Context, string, []byte) error   { return errKeychain }
func (noKeychain) Delete(context.Context, string) error        { return errKeychain }
func (noKeychain) Barrier(context.Context) error               { return errKeychain }

// program is one run of keytray-tray.
type program struct {
	world         *setup.World
	args          []string
	name, version string
	stdin         io.Reader
	stdout        io.Writer
	logger        func(io.Writer) *slog.Logger
}

// run returns the exit code, or the environment to start anew with.
func (p *program) run(ctx context.Context) (code int, anew []string) {
	err := p.start(ctx, &anew)
	if err == nil {
		return setup.ExitDone, anew
	}
	code, hint := setup.Explain(err)
	fmt.Fprintf(p.world.Stderr, "keytray-tray: %s\n", setup.OneLine(err))
	if hint != "" {
		fmt.Fprintf(p.world.Stderr, "keytray-tray: hint: %s\n", hint)
	}
	return code, nil
}

func (p *program) start(ctx context.Context, anew *[]string) error {
	working := len(p.args) > 0 && p.args[0] == "__worker"
	args := p.args
	if working {
		args = args[1:]
	}
	done, err := p.parse(args)
	if done || err != nil {
		return err
	}
	own, err := p.world.Own()
	if err != nil {
		return err
	}
	if working {
		p.world.Log = p.logger(io.Discard)
		return p.world.Work(ctx, p.stdin, p.stdout)
	}
	if env, ok := p.missingBus(); ok {
		*anew = env
		return nil
	}
	file, err := openLog(filepath.Join(own, "tray.log"))
	if err != nil {
		return err
	}
	defer file.Close()
	p.world.Log = p.logger(file)
	debug.SetGCPercent(garbage)
	*anew, err = p.live(ctx, own, file)
	return err
}

// parse reads the flags; done says that they asked for an answer only.
func (p *program) parse(args []string) (done bool, err error) {
	flags := flag.NewFlagSet("keytray-tray", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&p.world.StateDir, "state-dir", "", "")
	asked := flags.Bool("version", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		_, err = io.WriteString(p.stdout, help)
		return true, err
	case err != nil:
		return false, setup.Usage(err, "keytray-tray --help")
	case flags.NArg() > 0:
		return false, setup.Usage(fmt.Errorf("unknown argument %q", flags.Arg(0)), "keytray-tray --help")
	case *asked:
		_, err = fmt.Fprintf(p.stdout, "keytray-tray %s\n", p.version)
		return true, err
	}
	return false, nil
}

// openLog opens the log, which nobody else can read, and keeps it from growing.
func openLog(path string) (*os.File, error) {
	if err := disk.Prepare(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if fi, err := os.Lstat(path); err == nil && fi.Size() > logLimit {
		_ = os.Rename(path, path+".1") // else it grows for another day
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY|noFollow, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	return f, nil
}

// live is the tray's life, from the first look to the last.
func (p *program) live(ctx context.Context, own string, file *os.File) (anew []string, err error) {
	root, err := p.world.Root()
	if err != nil {
		return nil, err
	}
	if root.Notice != "" {
		p.world.Log.Info("another state folder is used", "why", root.Notice)
	}
	k, err := p.world.Keeper(root, noKeychain{})
	if err != nil {
		return nil, err
	}
	words := view.In(cmp.Or(p.world.Getenv("LC_ALL"), p.world.Getenv("LC_MESSAGES"), p.world.Getenv("LANG"), systemLocale()))
	release, taken, err := k.Store.Sole(ctx, "tray")
	if err != nil {
		return nil, err
	}
	if !taken {
		p.sayAlready(ctx, own, words)
		return nil, nil
	}
	defer release()
	ctx, stop := setup.Resident(ctx, "tray")
	defer stop()
	p.world.Sweep(ctx)
	t, err := p.newTray(k, words, own, file)
	if err != nil {
		return nil, err
	}
	defer t.files.Close()
	anew, err = p.show(ctx, t)
	if cause := context.Cause(ctx); errors.Is(cause, setup.ErrReplaced) {
		p.world.Log.Info("ended", "why", cause)
	}
	return anew, err
}

// sayAlready tells a person who started a second tray that there is one.
func (p *program) sayAlready(ctx context.Context, own string, words *view.Words) {
	fmt.Fprintln(p.world.Stderr, "keytray-tray: it is running already")
	bell := p.bell(own, nil)
	defer bell.Close()
	ctx, cancel := context.WithTimeout(ctx, telling)
	defer cancel()
	if err := bell.Send(ctx, bubble(words.Already())); err != nil {
		p.world.Log.Debug("a notice was not shown", "err", err)
	}
}

func (p *program) bell(own string, acted func(cause, action string)) *notify.Bell {
	return notify.Open(notify.Options{
		App: "Keytray", Icon: picture(own), Bus: p.world.Getenv("DBUS_SESSION_BUS_ADDRESS"), Acted: acted,
	})
}

// picture is the icon of notifications: a file, as no package need be installed.
func picture(own string) string {
	path := filepath.Join(own, "keytray.png")
	if b, err := os.ReadFile(path); err != nil || string(b) != string(icon.App()) {
		if err := disk.Replace(path, icon.App()); err != nil {
			return "keytray" // the theme's, if there is one
		}
	}
	return path
}

func (p *program) newTray(k *keeper.Keeper, words *view.Words, own string, file *os.File) (*tray, error) {
	home, err := p.world.Home()
	if err != nil {
		return nil, err
	}
	files, err := setup.WatchFiles(k.Store)
	if err != nil {
		return nil, err
	}
	memory, err := recall(own)
	if err != nil {
		p.world.Log.Warn("the settings are forgotten", "err", err)
	}
	t := &tray{
		world: p.world, keeper: k, words: words, log: p.world.Log, posts: make(chan func(), 64), files: files, memory: memory, reloads: &setup.Reloads{World: p.world, Store: k.Store},
		waiting: map[string]*waiting{}, buttons: map[string]map[string]view.Action{}, causes: map[string]string{}, wake: make(chan struct{}, 1),
		known: map[sink.Ref]bool{}, unheard: map[string]time.Time{},
		state: view.State{Services: services(k.Providers), Working: map[sink.Ref]bool{}},
	}
	t.child = worker.Child{Path: p.workerPath(), Args: append([]string{p.name, "__worker"}, p.args...), Stderr: file}
	t.supplies = &setup.Supplies{World: p.world, Store: k.Store, Do: func(ctx context.Context) error {
		return t.child.Do(ctx, worker.Request{Do: "sync"}, nil, nil)
	}}
	t.shell = &shell{
		words: words, screen: &screen{settle: settle, clicked: func(a view.Action) { t.post(func() { t.do(a) }) }},
		bell: p.bell(own, func(bubble, button string) { t.post(func() { t.pressed(bubble, button) }) }),
		jobs: make(chan job, 64), rung: make(chan struct{}), logFile: file.Name(),
		autostart: autostart.New(autostart.Place{
			Program: autostart.Stable(p.world.Self, p.name, p.world.Getenv("PATH")), Home: home,
			ConfigHome: p.world.Getenv("XDG_CONFIG_HOME"), ConfigDirs: p.world.Getenv("XDG_CONFIG_DIRS"),
		}),
	}
	browser.Stdout, browser.Stderr = io.Discard, io.Discard // what openers print is dropped
	t.settings()
	if t.state.Settings.Autostart { // the program may lie elsewhere than it did
		if err := t.shell.autostart.Set(true); err != nil {
			p.world.Log.Warn("the entry that starts the tray at login could not be mended", "err", err)
		}
	}
	return t, nil
}

// workerPath is this very program, also after an update has replaced its file.
func (p *program) workerPath() string {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe"
	}
	return p.world.Self
}

// show puts the tray on the screen and lets it live there, or without one where
// there is none. It returns when the tray's work has ended.
func (p *program) show(ctx context.Context, t *tray) (anew []string, err error) {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	t.shell.quit = quit
	if os.Geteuid() == 0 && runtime.GOOS != "windows" {
		p.world.Log.Warn("the tray runs as root: it keeps root's logins, not yours")
		t.first = t.words.Root()
	}
	showing, hush := context.WithCancel(context.WithoutCancel(ctx))
	defer hush()
	t.shell.hush = hush
	go t.shell.ring(showing) // farewell waits for it
	back := make(chan struct{})
	t.anew = sync.OnceFunc(func() {
		if canBegin {
			close(back)
			quit()
		}
	})
	p.watchBus(ctx, t, quit)
	if !p.hasScreen(ctx) {
		t.log.Info("there is no session bus, so there is no icon; notices are in this log")
		t.shell.screen = nil
		t.run(ctx, func() {})
	} else {
		t.onScreen(ctx)
	}
	select {
	case <-back:
		anew = p.world.Environ
	default:
	}
	t.farewell(anew != nil)
	t.shell.bell.Close()
	return anew, nil
}

// onScreen lives behind an icon. It is for main's goroutine.
func (t *tray) onScreen(ctx context.Context) {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	up, drawn, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() { // show returns after it
		defer t.shell.screen.close()
		defer close(ended)
		<-up
		t.run(ctx, func() { close(drawn) })
	}()
	t.shell.screen.show(func() {
		close(up)
		<-drawn // hosts ask for the menu as soon as this returns
	}, func() {
		quit() // the session may end the icon's loop before we do
		select {
		case <-ended:
		case <-time.After(logoffGrace):
		}
	})
	<-ended
}
