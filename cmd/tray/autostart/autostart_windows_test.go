package autostart

import (
	"testing"

	"golang.org/x/sys/windows/registry"
)

// newRunKey gives keys of the test's own: those of the user are not touched.
func newRunKey(t *testing.T) runKey {
	t.Helper()
	const base = `Software\Keytray test of the start`
	r := runKey{`C:\Program Files\Keytray\keytray-tray.exe`, base + `\Run`, base + `\Approved`}
	t.Cleanup(func() {
		for _, path := range []string{r.run, r.approved, base} {
			registry.DeleteKey(registry.CURRENT_USER, path)
		}
	})
	return r
}

func TestWindowsRunValue(t *testing.T) {
	r := newRunKey(t)
	for _, on := range []bool{false, true, true, false, false, true} {
		if err := r.set(on); err != nil {
			t.Fatalf("set(%v): %v", on, err)
		}
		if got, err := r.enabled(); err != nil || got != on {
			t.Errorf("after set(%v): enabled = %v, %v", on, got, err)
		}
	}
	k, err := registry.OpenKey(registry.CURRENT_USER, r.run, registry.QUERY_VALUE)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if got, kind, err := k.GetStringValue(runValue); got != `"C:\Program Files\Keytray\keytray-tray.exe"` || kind != registry.SZ || err != nil {
		t.Errorf("the value is %s of kind %d, %v", got, kind, err)
	}
}

func TestWindowsTaskManagerHoldsItBack(t *testing.T) {
	r := newRunKey(t)
	if err := r.set(true); err != nil {
		t.Fatal(err)
	}
	k, _, err := registry.CreateKey(registry.CURRENT_USER, r.approved, registry.ALL_ACCESS)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	for first, want := range map[byte]bool{2: true, 3: false, 6: true, 7: false} {
		if err := k.SetBinaryValue(runValue, []byte{first, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}); err != nil {
			t.Fatal(err)
		}
		if got, err := r.enabled(); err != nil || got != want {
			t.Errorf("with a note %d: enabled = %v, %v, want %v", first, got, err, want)
		}
	}
	if err := r.set(true); err != nil {
		t.Fatal(err)
	}
	if got, err := r.enabled(); err != nil || !got {
		t.Errorf("switched on here after it was switched off there: enabled = %v, %v", got, err)
	}
}

func TestWindowsRefusesWhatIsNoPath(t *testing.T) {
	r := newRunKey(t)
	for _, program := range []string{"keytray-tray.exe", `\keytray-tray.exe`, "C:\\a\x00b", `C:\a" "b`, ""} {
		r.program = program
		if err := r.set(true); err == nil {
			t.Errorf("%q was accepted", program)
		}
	}
	if on, err := r.enabled(); on || err != nil {
		t.Errorf("enabled = %v, %v", on, err)
	}
}

func TestWindowsKeys(t *testing.T) {
	s := New(Place{Program: `C:\keytray-tray.exe`})
	if _, err := s.Enabled(); err != nil {
		t.Error(err)
	}
	const want = `Software\Microsoft\Windows\CurrentVersion\Run`
	if s.system.run != want {
		t.Errorf("the key is %s, want %s", s.system.run, want)
	}
}
