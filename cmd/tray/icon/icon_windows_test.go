package icon

import (
	"testing"

	"golang.org/x/sys/windows/registry"
)

func TestWindowsThemeIsInTheRegistry(t *testing.T) {
	const path = `Software\Keytray test of the theme`
	if !dark(path) {
		t.Error("without a key the taskbar is not dark")
	}
	k, _, err := registry.CreateKey(registry.CURRENT_USER, path, registry.ALL_ACCESS)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	t.Cleanup(func() { registry.DeleteKey(registry.CURRENT_USER, path) })
	if !dark(path) {
		t.Error("without a value the taskbar is not dark")
	}
	for light, want := range map[uint32]bool{0: true, 1: false} {
		if err := k.SetDWordValue("SystemUsesLightTheme", light); err != nil {
			t.Fatal(err)
		}
		if got := dark(path); got != want {
			t.Errorf("SystemUsesLightTheme %d: dark = %v, want %v", light, got, want)
		}
	}
}

func TestWindowsHasTwoSets(t *testing.T) {
	for _, s := range []State{Normal, Attention, Working, Paused, Locked} {
		if string(Of(s, true)) == string(Of(s, false)) {
			t.Errorf("%s looks the same on a light and on a dark taskbar", s)
		}
	}
}
