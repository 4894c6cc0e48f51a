package icon

import "embed"

//go:embed darwin
var pictures embed.FS

func name(s State, _ bool) string {
	return "darwin/" + string(s) + ".png"
}

// Dark reports whether the taskbar is dark. The menu bar paints templates
// itself, as its background needs it: false.
func Dark() bool {
	return false
}
