package setup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/keychain"
	"github.com/keytray/keytray/keychain/vault"
	"github.com/keytray/keytray/sealed"
	"github.com/keytray/keytray/secret"
	"github.com/keytray/keytray/sink"
)

// The keychains that a person can choose. Nobody is moved from one to the other
// silently: the system's is used until somebody says otherwise, and what was said
// once holds for every program of that person, whatever the state root.
const (
	KeychainOS   = "os"
	KeychainFile = "file"
)

// choice is what the person said, in a file beside the locks.
type choice struct {
	Version  int    `json:"version"`
	Keychain string `json:"keychain"`
	// Identity is the file of the key that opens the encrypted files.
	Identity string `json:"identity,omitempty"`
}

const (
	choiceLimit = 64 << 10
	// identityLimit is more than any key has.
	identityLimit = 64 << 10
	// The names under which a service manager hands in what opens the encrypted
	// files, in $CREDENTIALS_DIRECTORY.
	identityCredential   = "keytray.identity"
	passphraseCredential = "keytray.passphrase"
)

// Wanted is what the flags of a command say of the keychain.
type Wanted struct {
	// Keychain is empty where nothing was said.
	Keychain string
	// Identity is the file of the key, made if it is not there; empty is one in
	// Keytray's own folder.
	Identity string
	// Passphrase says that a new key is to be locked by one.
	Passphrase bool
}

// keychainFiles are where the choice and the encrypted files lie.
func (w *World) keychainFiles() (chosen, identity, dir string, err error) {
	own, err := w.Own()
	return filepath.Join(own, "keychain.json"), filepath.Join(own, "identity.txt"), filepath.Join(own, "vault"), err
}

func (w *World) choice() (choice, error) {
	path, _, _, err := w.keychainFiles()
	if err != nil {
		return choice{}, err
	}
	b, err := disk.Read(path, choiceLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return choice{Keychain: KeychainOS}, nil
	}
	if err != nil {
		return choice{}, fmt.Errorf("reading which keychain was chosen: %w", err)
	}
	var c choice
	if json.Unmarshal(b, &c) != nil || c.Version != 1 || (c.Keychain != KeychainOS && c.Keychain != KeychainFile) {
		return choice{}, Hinted(fmt.Errorf("%s does not say which keychain was chosen", path), "say it again, with --keychain, after that file is removed")
	}
	return c, nil
}

// Secrets are this person's, in the keychain that they chose. Nothing of it raises
// a dialog; see [World.Unlock].
func (w *World) Secrets() (sink.Secrets, error) {
	c, err := w.choice()
	if err != nil {
		return nil, err
	}
	if c.Keychain == KeychainOS {
		return w.keychain(false), nil
	}
	if w.vault == nil {
		_, _, dir, err := w.keychainFiles()
		if err != nil {
			return nil, err
		}
		w.vault = vault.Open(dir, func() (sealed.Key, error) { return w.key(c.Identity) })
	}
	return w.vault, nil
}

// KeychainName says which keychain is used, for people.
func (w *World) KeychainName() (name string, inFiles bool) {
	c, err := w.choice()
	_, _, dir, dirErr := w.keychainFiles()
	if err != nil || dirErr != nil || c.Keychain == KeychainOS {
		return "the keychain of the system", false
	}
	return "encrypted files in " + dir + ", opened by " + c.Identity, true
}

// Recipient is whom others can seal for, to be opened by the key of the encrypted
// files; empty where there is none, or it is locked.
func (w *World) Recipient() string {
	c, err := w.choice()
	if err != nil || c.Keychain != KeychainFile {
		return ""
	}
	key, err := w.key(c.Identity)
	if err != nil {
		return ""
	}
	return key.Public()
}

// Unlock asks the person to unlock the keychain, if it is locked: in a dialog, or
// for the passphrase where Ask can. It comes before any lock is taken.
func (w *World) Unlock(ctx context.Context) error {
	c, err := w.choice()
	if err != nil {
		return err
	}
	if c.Keychain == KeychainOS {
		if _, err := w.keychain(true).Get(ctx, "unlock"); err != nil && !errors.Is(err, keychain.ErrNotFound) {
			return err
		}
		return nil
	}
	return w.askPassphrase(ctx, c.Identity)
}

// passphraseTries is how often a person may err.
const passphraseTries = 3

func (w *World) askPassphrase(ctx context.Context, identity string) error {
	_, err := w.key(identity)
	for range passphraseTries {
		if w.Ask == nil || !errors.Is(err, keychain.ErrLocked) {
			return err
		}
		p, askErr := w.Ask(ctx, "Passphrase of "+identity)
		if askErr != nil {
			return askErr
		}
		w.keys.say(p)
		_, err = w.key(identity)
	}
	return err
}

// keyring is what a process knows of a key, so that a person says the passphrase
// once, and scrypt takes its second once.
type keyring struct {
	// mu guards what follows.
	mu         sync.Mutex
	passphrase secret.Text
	opened     map[string]sealed.Key // by the path of the identity
}

func (r *keyring) say(passphrase secret.Text) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passphrase = passphrase
}

func (r *keyring) key(identity string, read func(passphrase secret.Text) (sealed.Key, error)) (sealed.Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k, ok := r.opened[identity]; ok {
		return k, nil
	}
	k, err := read(r.passphrase)
	if err == nil {
		r.opened = map[string]sealed.Key{identity: k}
	}
	return k, err
}

// key is the key of the encrypted files: what the service manager hands in, else
// that in the identity file.
func (w *World) key(identity string) (sealed.Key, error) {
	return w.keys.key(identity, func(p secret.Text) (sealed.Key, error) { return w.readKey(identity, p) })
}

func (w *World) readKey(identity string, passphrase secret.Text) (sealed.Key, error) {
	b, err := w.credential(identityCredential)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = readIdentity(identity)
	}
	if err != nil {
		return sealed.Key{}, unopened(err)
	}
	if p, err := w.credential(passphraseCredential); err == nil && passphrase.Empty() {
		passphrase = secret.New(strings.TrimRight(string(p), "\r\n"))
	}
	k, err := sealed.ParseKey(b, passphrase)
	switch {
	case errors.Is(err, sealed.ErrPassphrase) && passphrase.Empty():
		return k, &vault.Error{Kind: keychain.ErrLocked, Why: identity + " has a passphrase", Hint: "run the command in a terminal, which asks for it; a service takes it from " + passphraseCredential + " in $CREDENTIALS_DIRECTORY, and the tray and helpers want an identity without one"}
	case errors.Is(err, sealed.ErrPassphrase):
		return k, &vault.Error{Kind: keychain.ErrLocked, Why: "that is not the passphrase of " + identity, Hint: "run the command again with the right one"}
	case err != nil:
		return k, &vault.Error{Kind: keychain.ErrUnavailable, Why: identity + " is " + err.Error(), Hint: "give the right file back to its place"}
	}
	return k, nil
}

// unopened says that the key cannot be read. Its cause is not wrapped: it may be
// fs.ErrNotExist, which of a keychain only says that an item is missing.
func unopened(err error) error {
	if _, ok := errors.AsType[*disk.UnsafeError](err); ok {
		return err
	}
	return &vault.Error{Kind: keychain.ErrUnavailable, Why: "the identity of the encrypted files cannot be read: " + err.Error(), Hint: "mount or bring back the file; without it nobody can open them"}
}

// credential reads one from the service manager's folder; fs.ErrNotExist if there is
// none. The manager answers for who can read what is in there.
func (w *World) credential(name string) ([]byte, error) {
	dir := w.Getenv("CREDENTIALS_DIRECTORY")
	if !filepath.IsAbs(dir) {
		return nil, fs.ErrNotExist
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, identityLimit))
}

// readIdentity reads a key that nobody else can read.
func readIdentity(path string) ([]byte, error) {
	b, err := disk.Read(path, identityLimit)
	if err != nil {
		return nil, err
	}
	fi, err := os.Stat(path)
	if err == nil && runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0 {
		err = &disk.UnsafeError{Path: path, Reason: fmt.Sprintf("can be read by others (mode %o)", fi.Mode().Perm()), Hint: fmt.Sprintf("chmod 600 %q", path)}
	}
	return b, err
}

// Opener reads what opens files that were sealed for this person: the named
// identity or SSH key, else that of the encrypted files.
func (w *World) Opener(ctx context.Context, path string) (sealed.Keys, error) {
	if path == "" {
		return w.ownOpener(ctx)
	}
	b, err := readIdentity(path)
	if err != nil {
		return nil, fmt.Errorf("reading the identity: %w", err)
	}
	var passphrase secret.Text
	if sealed.Locked(b) && w.Ask != nil {
		if passphrase, err = w.Ask(ctx, "Passphrase of "+path); err != nil {
			return nil, err
		}
	}
	keys, err := sealed.Identities(b, passphrase)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

func (w *World) ownOpener(ctx context.Context) (sealed.Keys, error) {
	c, err := w.choice()
	if err != nil {
		return nil, err
	}
	if c.Keychain != KeychainFile {
		return nil, Usage(errors.New("--identity is missing"), "name the age identity or SSH key that it was sealed for: --identity FILE")
	}
	if err := w.askPassphrase(ctx, c.Identity); err != nil {
		return nil, err
	}
	key, err := w.key(c.Identity)
	return key.Keys(), err
}

// Choose makes what the flags say the person's keychain, for good. A keychain that
// still has logins is not left.
func (w *World) Choose(ctx context.Context, want Wanted) error {
	switch {
	case want.Keychain == "" && want.Passphrase:
		return Usage(errors.New("--passphrase is for the choice of a keychain"), "add --keychain file")
	case want.Keychain == "":
		return nil
	case want.Keychain != KeychainOS && want.Keychain != KeychainFile:
		return Usage(fmt.Errorf("there is no keychain %q", want.Keychain), "choose one of os, file")
	case want.Keychain == KeychainOS && (want.Identity != "" || want.Passphrase):
		return Usage(errors.New("the system's keychain has no identity and no passphrase of ours"), "leave out --identity and --passphrase, or choose --keychain file")
	}
	own, err := w.Own()
	if err != nil {
		return err
	}
	if err := disk.Prepare(own); err != nil {
		return err
	}
	unlock, err := disk.TryLock(filepath.Join(own, "keychain.lock"))
	if err != nil {
		return err
	}
	if unlock == nil {
		return fmt.Errorf("another process is choosing the keychain: %w", sink.ErrBusy)
	}
	defer unlock()
	return w.choose(ctx, want)
}

func (w *World) choose(ctx context.Context, want Wanted) error {
	now, err := w.choice()
	if err != nil {
		return err
	}
	if want.Identity != "" {
		if want.Identity, err = filepath.Abs(want.Identity); err != nil {
			return err
		}
	}
	if now.Version > 0 && now.Keychain == want.Keychain {
		if want.Identity != "" && want.Identity != now.Identity {
			return Usage(fmt.Errorf("the encrypted files are opened by %s already", now.Identity), "leave out --identity")
		}
		if b, err := readIdentity(now.Identity); want.Passphrase && err == nil && !sealed.Locked(b) {
			return Usage(fmt.Errorf("%s is there already, without a passphrase", now.Identity), "leave out --passphrase: it is for a new one; `age -p` locks the one that is there")
		}
		return nil
	}
	if now.Keychain != want.Keychain {
		if err := w.refuseToLeave(now); err != nil {
			return err
		}
	}
	next := choice{Version: 1, Keychain: want.Keychain}
	if want.Keychain == KeychainFile {
		if next.Identity, err = w.makeVault(ctx, want); err != nil {
			return err
		}
	}
	path, _, _, err := w.keychainFiles()
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return err
	}
	if err := disk.Replace(path, append(b, '\n')); err != nil {
		return fmt.Errorf("remembering the keychain: %w", err)
	}
	name, _ := w.KeychainName()
	fmt.Fprintf(w.Stderr, "keytray: from now on secrets are kept in %s\n", name)
	return nil
}

// refuseToLeave keeps a person from losing sight of the logins in the keychain that
// is used now.
func (w *World) refuseToLeave(now choice) error {
	_, _, dir, err := w.keychainFiles()
	if err != nil {
		return err
	}
	hint := "sign them out first (`keytray logout PROFILE`), and in again afterwards"
	if now.Keychain == KeychainFile {
		if vault.Holds(dir, func(name string) bool { return strings.Contains(name, ".slot.") }) {
			return Hinted(fmt.Errorf("there are logins in the encrypted files in %s", dir), hint)
		}
		return nil
	}
	root, err := w.Root()
	if err != nil {
		return err
	}
	roots := []sink.Root{root}
	if root.Passed != nil {
		roots = append(roots, *root.Passed)
	}
	for _, r := range roots {
		store := sink.Open(r.Dir, "", nil)
		store.AgentDirs = r.AgentDirs
		for _, agent := range store.Agents() {
			for p, err := range store.Profiles(agent) {
				if err != nil && !errors.Is(err, sink.ErrMirrorMissing) {
					return fmt.Errorf("looking for logins in the system's keychain: %w", err)
				}
				if err == nil && p.State != sink.StateMoved {
					return Hinted(fmt.Errorf("there are logins in the system's keychain, %s of agent %s for one", p.ID, agent), hint)
				}
			}
		}
	}
	return nil
}

// makeVault makes the key, unless there is one, and the folder.
func (w *World) makeVault(ctx context.Context, want Wanted) (identity string, err error) {
	_, usual, dir, err := w.keychainFiles()
	if err != nil {
		return "", err
	}
	identity = cmp.Or(want.Identity, usual)
	_, err = os.Lstat(identity)
	_, credentialErr := w.credential(identityCredential)
	if errors.Is(err, fs.ErrNotExist) && credentialErr != nil {
		err = w.makeKey(ctx, identity, want.Passphrase)
	} else if want.Passphrase {
		return "", Usage(fmt.Errorf("%s is there already", identity), "leave out --passphrase: it is for a new one")
	}
	if err != nil && credentialErr != nil {
		return "", err
	}
	if err := w.askPassphrase(ctx, identity); err != nil {
		return "", err
	}
	key, err := w.key(identity)
	if err != nil {
		return "", err
	}
	return identity, vault.Create(dir, key)
}

func (w *World) makeKey(ctx context.Context, identity string, locked bool) error {
	var passphrase secret.Text
	if locked {
		var err error
		if passphrase, err = w.newPassphrase(ctx); err != nil {
			return err
		}
	}
	key, err := sealed.NewKey()
	if err != nil {
		return err
	}
	b, err := key.File(passphrase)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(identity), 0o700); err != nil {
		return fmt.Errorf("making the identity: %w", err)
	}
	if err := disk.Replace(identity, b); err != nil {
		return fmt.Errorf("making the identity: %w", err)
	}
	w.keys.say(passphrase)
	_, err = w.keys.key(identity, func(secret.Text) (sealed.Key, error) { return key, nil })
	return err
}

// newPassphrase asks for one twice, or takes the service manager's.
func (w *World) newPassphrase(ctx context.Context) (secret.Text, error) {
	if b, err := w.credential(passphraseCredential); err == nil {
		return secret.New(strings.TrimRight(string(b), "\r\n")), nil
	}
	if w.Ask == nil {
		return secret.Text{}, &vault.Error{Kind: keychain.ErrLocked, Why: "there is nobody to say a passphrase", Hint: "run the command in a terminal, or leave out --passphrase and keep the identity file safe"}
	}
	p, err := w.Ask(ctx, "New passphrase")
	if err != nil {
		return p, err
	}
	again, err := w.Ask(ctx, "The same again")
	switch {
	case err != nil:
		return p, err
	case !again.Equal(p):
		return p, Usage(errors.New("these are two different passphrases"), "run the command again")
	case p.Empty():
		return p, Usage(errors.New("an empty passphrase protects nothing"), "leave out --passphrase")
	}
	return p, nil
}
