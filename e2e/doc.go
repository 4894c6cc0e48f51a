// Package e2e holds the desktop rig and the tests that need it; it has no code
// of its own to import.
//
// The rig is a private desktop in a temporary folder: a session bus and a real
// gnome-keyring (package keychain/session), an X server, Chromium registered as
// the desktop's web browser, and the OpenID-certified oidc-provider on a
// loopback port. A test that asks for them gets xfce4-panel with its tray, dunst
// or xfce4-notifyd, and gcr's password dialog, with a pointer and keys to use
// them. keytray runs in it as the built binary, through its command line only.
// Folder servers has two more authorization servers, of zitadel/oidc and
// ory/fosite, which the tests build with the module's own go.mod.
// Nothing of the rig touches the HOME or the keyring of whoever runs the tests,
// and nothing outlives them, even if they are killed.
//
// The screen is looked at as pictures: what changed, and where. Run the tests
// with -artifacts to keep them.
//
// setup.sh installs what the rig is made of. A test whose parts are missing is
// skipped with their names, and fails where CI=true. All of them are skipped
// under -short.
package e2e
