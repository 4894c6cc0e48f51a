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
	changes chan Change
}

// Change says what may have changed.
type Change struct{ Logins, Providers bool }

// WatchFiles begins to watch. The caller closes it.
func WatchFiles(store *sink.Store) (*Files, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching the profile files: %w", err)
	}
	f := &Files{store, w, make(chan Change)}
	go f.collect() // until Close
	f.Follow()
	return f, nil
}

// collect takes what the watcher tells as it comes, since Follow would wait for
// a watcher that waits for its reader, and hands it on as one change.
func (f *Files) collect() {
	var pending Change
	for {
		var out chan<- Change
		if pending != (Change{}) {
			out = f.changes
		}
		select {
		case e, ok := <-f.watcher.Events:
			if !ok {
				return
			}
			pending.Logins = pending.Logins || tellsOfLogins(e)
			pending.Providers = pending.Providers || tellsOfProviders(e)
		case _, ok := <-f.watcher.Errors: // something was missed
			if !ok {
				return
			}
			pending.Logins = true
		case out <- pending:
			pending = Change{}
		}
	}
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

// Changes delivers what has changed since it was last received from.
func (f *Files) Changes() <-chan Change { return f.changes }

// Close ends the watching.
func (f *Files) Close() error { return f.watcher.Close() }

// tellsOfLogins reports whether an event may be about a login.
func tellsOfLogins(e fsnotify.Event) bool {
	return filepath.Base(e.Name) == "auth-profiles.json" || filepath.Ext(e.Name) != ".tmp" && e.Has(fsnotify.Create)
}

// tellsOfProviders reports whether an event may be about a provider's file.
func tellsOfProviders(e fsnotify.Event) bool {
	return filepath.Base(filepath.Dir(e.Name)) == provider.Folder && filepath.Ext(e.Name) == ".json"
}
