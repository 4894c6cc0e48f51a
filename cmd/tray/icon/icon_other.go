//go:build !windows && !darwin

package icon

import "embed"

//go:embed linux
var pictures embed.FS

func name(s State, _ bool) string {
	return "linux/" + string(s) + ".png"
}

// Dark reports whether the taskbar is dark. No panel here says so: false.
func Dark() bool {
	return false
}
