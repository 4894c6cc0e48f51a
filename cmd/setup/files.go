package setup

import (
	"fmt"
	"path/filepath"

	"github.com/fsnotify/fsnotify"

	"github.com/keytray/keytray/provider"
	"github.com/keytray/keytray/sink"
)

// Files watches what a state root says of its logins and providers.
type Files struct {
	store   *sink.Store
	watcher *fsnotify.Watcher
}

// WatchFiles begins to watch. The caller closes it.
func WatchFiles(store *sink.Store) (*Files, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching the profile files: %w", err)
	}
	f := &Files{store, w}
	f.Follow()
	return f, nil
}

// Follow watches also the folders that have come since. Those that cannot be
// watched are for the caller to look at from time to time.
func (f *Files) Follow() {
	dir := f.store.Dir()
	for _, d := range []string{dir, filepath.Join(dir, "agents"), filepath.Join(dir, provider.Folder)} {
		_ = f.watcher.Add(d)
	}
	for _, agent := range f.store.Agents() {
		home := f.store.Agent(agent).Dir
		if parent := filepath.Dir(home); filepath.Dir(filepath.Dir(parent)) == dir { // not what somebody put elsewhere
			_ = f.watcher.Add(parent)
		}
		_ = f.watcher.Add(home)
	}
}

// Events and Errors are what happens; after an error the files may have changed
// without an event.
func (f *Files) Events() <-chan fsnotify.Event { return f.watcher.Events }

// Errors are those of the watching itself.
func (f *Files) Errors() <-chan error { return f.watcher.Errors }

// Close ends the watching.
func (f *Files) Close() error { return f.watcher.Close() }

// TellsOfLogins reports whether an event may be about a login.
func TellsOfLogins(e fsnotify.Event) bool {
	return filepath.Base(e.Name) == "auth-profiles.json" || filepath.Ext(e.Name) != ".tmp" && e.Has(fsnotify.Create)
}

// TellsOfProviders reports whether an event may be about a provider's file.
func TellsOfProviders(e fsnotify.Event) bool {
	return filepath.Base(filepath.Dir(e.Name)) == provider.Folder && filepath.Ext(e.Name) == ".json"
}
