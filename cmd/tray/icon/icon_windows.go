package icon

import (
	"embed"

	"golang.org/x/sys/windows/registry"
)

//go:embed windows
var pictures embed.FS

func name(s State, dark bool) string {
	theme := "-light"
	if dark {
		theme = "-dark"
	}
	return "windows/" + string(s) + theme + ".ico"
}

// Dark reports whether the taskbar is dark. It asks the registry each time: the
// user can change the theme while the program runs.
func Dark() bool {
	return dark(`Software\Microsoft\Windows\CurrentVersion\Themes\Personalize`)
}

// dark reads the theme from a key of the current user. Windows that know no
// light taskbar have no such value; theirs is dark.
func dark(path string) bool {
	k, err := registry.OpenKey(registry.CURRENT_USER, path, registry.QUERY_VALUE)
	if err != nil {
		return true
	}
	defer k.Close()
	light, _, err := k.GetIntegerValue("SystemUsesLightTheme")
	return err != nil || light == 0
}
