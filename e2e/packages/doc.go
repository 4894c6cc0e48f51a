// Package packages holds the tests of what people install; it has no code of its
// own to import.
//
// A plain go test builds the archive for Linux and follows docs/install.md with it,
// as whoever runs the tests, in a home of its own. `make test-packages` builds what
// is there for Linux twice, as two versions, and does as root in a Debian in which
// nothing else is (debootstrap makes it once, and it is kept in the user's cache
// folder) what the document says: install, use as an ordinary user, upgrade while
// Keytray runs, remove. It also runs the checks of Debian's tools, and make dist in
// two folders, whose results have to be equal.
//
// packaging/setup.sh installs what that is made of.
package packages
