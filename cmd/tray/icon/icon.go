// Package icon holds the pictures of the tray: a key over a tray, and a badge
// at its corner that differs in shape from state to state, so that nobody has
// to tell colours apart. They are drawn in packaging/icons; render.sh there
// writes the files that are embedded here.
//
// It shows nothing itself.
package icon

import _ "embed"

// State is what the picture says about all logins together.
type State string

// The states, each with a badge but the first.
const (
	Normal    State = "normal"
	Attention State = "attention" // "!": a person has to do something
	Working   State = "working"   // an arrow that goes round
	Paused    State = "paused"    // two bars
	Locked    State = "locked"    // a padlock: the keychain
)

// Of returns the picture of s as the tray library of this system wants it: a
// PNG of 48 pixels on Linux, an ICO of five sizes on Windows, a template PNG of
// 32 pixels on macOS. dark says that the bar is dark; only Windows has two sets,
// the other pictures are seen on both. It panics if s is none of the states.
func Of(s State, dark bool) []byte {
	b, err := pictures.ReadFile(name(s, dark))
	if err != nil {
		panic("icon: no picture of " + string(s))
	}
	return b
}

//go:embed app.png
var app string

// App returns the program's own picture, a PNG of 256 pixels, for notifications
// and windows.
func App() []byte {
	return []byte(app)
}
