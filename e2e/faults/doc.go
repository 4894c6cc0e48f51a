// Package faults holds tests that break things while real processes renew a
// login; it has no code of its own to import. docs/faults.md says which cell of
// the fault matrix is shown by which of them.
//
// Each test has a stage of its own: a private bus with a real gnome-keyring, an
// authorization server that rotates strictly and keeps a ledger, and keytray as
// the binary that is shipped, without a line of code for tests in it. What
// happens to it comes from outside, at a place that is named exactly:
//
//   - a step that is a system call is met by strace, which kills the process
//     when it enters that call on that file, or lets the call fail;
//   - a step that is a keychain call is met by a relay between keytray and the
//     bus, which sees each message before the bus does and each answer before
//     keytray does;
//   - a step of the request is met by the server.
//
// A test whose parts are missing is skipped with their names, and fails where
// CI=true. All of them are skipped under -short.
package faults
