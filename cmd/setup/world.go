// Package setup is the wiring that keytray and its tray share: where things lie,
// which keychain and which providers there are, and what an error means to
// people. It reads no environment by itself; a program's main hands it in.
package setup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/keytray/keytray/client"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/keychain/vault"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

// World is what surrounds a program, as its main found it. Environ, Stderr and
// Log are required.
type World struct {
	// Environ is as os.Environ has it.
	Environ []string
	// StateDir is what the person said with --state-dir, if anything.
	StateDir string
	// Self is the path of the running program, empty where that is not known.
	Self string
	// Again is closed by a second signal: the person gives up a login that can
	// be saved nowhere.
	Again  <-chan struct{}
	Stderr io.Writer
	Log    *slog.Logger
	// Ask asks the person for a passphrase, unseen. It is nil where nobody can be
	// asked.
	Ask func(ctx context.Context, what string) (secret.Text, error)

	stuckOnce sync.Once
	// vault is that of the encrypted files, once it is used.
	vault *vault.Vault
	keys  keyring
}

// Getenv is os.Getenv on what main found. On Windows the case of a name does not
// matter: there it is Path.
func (w *World) Getenv(name string) string {
	for _, entry := range slices.Backward(w.Environ) {
		if k, v, ok := strings.Cut(entry, "="); ok && (k == name || runtime.GOOS == "windows" && strings.EqualFold(k, name)) {
			return v
		}
	}
	return ""
}

// Home is the person's home folder, from the user database where HOME is unset.
func (w *World) Home() (string, error) {
	if runtime.GOOS == "windows" {
		if h := w.Getenv("USERPROFILE"); h != "" {
			return h, nil
		}
	}
	if h := w.Getenv("HOME"); filepath.IsAbs(h) {
		return h, nil
	}
	u, err := user.LookupId(strconv.Itoa(os.Getuid()))
	if err != nil {
		return "", fmt.Errorf("finding the home folder: %w", err)
	}
	return u.HomeDir, nil
}

// Root finds the state root, and refuses to be root in another person's home.
func (w *World) Root() (sink.Root, error) {
	home, err := w.Home()
	if err != nil {
		return sink.Root{}, err
	}
	if err := w.checkSudo(home); err != nil {
		return sink.Root{}, err
	}
	return sink.FindRoot(w.places(home)), nil
}

// OpenClaw is that program's state folder, whatever the state root is; the zero
// Root if there is none.
func (w *World) OpenClaw() (sink.Root, error) {
	home, err := w.Home()
	if err != nil {
		return sink.Root{}, err
	}
	r, _ := w.places(home).OpenClawRoot()
	return r, nil
}

func (w *World) places(home string) sink.Places {
	return sink.Places{
		Flag: w.StateDir, Keytray: w.Getenv("KEYTRAY_STATE_DIR"), Home: home, State: w.stateHome(home),
		OpenClaw: sink.OpenClaw{
			StateDir: w.Getenv("OPENCLAW_STATE_DIR"), Home: w.Getenv("OPENCLAW_HOME"),
			Profile: w.Getenv("OPENCLAW_PROFILE"), AgentDir: w.Getenv("OPENCLAW_AGENT_DIR"),
			OAuthDir: w.Getenv("OPENCLAW_OAUTH_DIR"),
		},
	}
}

// stateHome is the platform's folder for state that is neither configuration
// nor cache.
func (w *World) stateHome(home string) string {
	if x := w.Getenv("XDG_STATE_HOME"); filepath.IsAbs(x) {
		return x
	}
	return w.fixedStateHome(home)
}

// fixedStateHome is the same whatever the XDG variables say: a tray, a cron job
// and an ssh shell of one person must meet on the same locks.
func (w *World) fixedStateHome(home string) string {
	switch runtime.GOOS {
	case "darwin":
		return filepath.Join(home, "Library", "Application Support")
	case "windows":
		if l := w.Getenv("LOCALAPPDATA"); l != "" {
			return l
		}
		return filepath.Join(home, "AppData", "Local")
	default:
		return filepath.Join(home, ".local", "state")
	}
}

// Own is Keytray's own folder of this person, whatever the state root is.
func (w *World) Own() (string, error) {
	home, err := w.Home()
	if err != nil {
		return "", err
	}
	return filepath.Join(w.fixedStateHome(home), "keytray"), nil
}

// checkSudo refuses root on another person's home: it would leave files there
// that the person cannot write, and use root's keychain.
func (w *World) checkSudo(home string) error {
	if os.Geteuid() != 0 || w.Getenv("SUDO_UID") == "" {
		return nil
	}
	u, err := user.LookupId("0")
	if err == nil && filepath.Clean(u.HomeDir) == filepath.Clean(home) {
		return nil
	}
	return Hinted(errors.New("running as root in another user's home would spoil their files"), "run keytray without sudo")
}

// keychain is that of the system. It raises an unlock dialog only if prompt is set.
func (w *World) keychain(prompt bool) *keychain.Keychain {
	return keychain.Open(keychain.Options{Prompt: prompt, Bus: w.Getenv("DBUS_SESSION_BUS_ADDRESS")})
}

// Keeper opens the store of a state root, with secrets behind it, and the
// providers.
func (w *World) Keeper(root sink.Root, secrets sink.Secrets) (*keeper.Keeper, error) {
	own, err := w.Own()
	if err != nil {
		return nil, err
	}
	store := sink.Open(root.Dir, filepath.Join(own, "locks"), secrets)
	store.Stuck, store.Left = w.stuck, client.Left
	store.OpenClaw, store.AgentDirs, store.OAuthDir = root.OpenClaw, root.AgentDirs, root.OAuthDir
	k := &keeper.Keeper{Store: store, Client: &oauth.Client{}, Providers: w.Providers(root), Log: w.Log}
	store.Revoke = k.Forsake
	return k, nil
}

// Providers are those that are built in and those of a state root.
func (w *World) Providers(root sink.Root) provider.Catalog {
	catalog, err := provider.Load(os.DirFS(root.Dir), provider.Builtin())
	if err != nil { // the other providers are good
		w.Log.Warn("a provider file is left out", "err", err)
	}
	return catalog
}

// stuck says, once, why the program does not end.
func (w *World) stuck(ref sink.Ref, err error) (abandon <-chan struct{}) {
	w.stuckOnce.Do(func() {
		fmt.Fprintf(w.Stderr, "keytray: %s was renewed, and neither the keychain nor the disk takes it: %s\n", ref.ID, OneLine(err))
		fmt.Fprintf(w.Stderr, "keytray: hint: keep this running and unlock the keyring; interrupting twice loses the login\n")
	})
	return w.Again
}
