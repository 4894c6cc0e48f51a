// Package clients holds the tests with real clients from npm, at pinned versions,
// in a network that has nothing but the loopback interface; it has no code of its
// own to import.
//
// A client runs with a home, a session bus and a keyring of its own, beside an
// authorization server and a model of ours. The names of the vendors lead there,
// with certificates of ours, so that the clients and keytray's own entries are as
// people have them. Nothing reaches the world or the HOME of whoever runs the tests.
//
// `make test-clients` installs the clients with setup.sh and runs the tests. They
// are skipped where npm does not answer, and by a plain go test: they take
// minutes.
package clients
