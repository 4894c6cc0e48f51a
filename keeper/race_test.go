//go:build race

package keeper_test

// raceEnabled says that everything is ten times as slow.
const raceEnabled = true
