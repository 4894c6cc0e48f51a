package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestSearchFindsWhatIsPlanted: the demo may say "none" only because it looked.
func TestSearchFindsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"a": "nothing", "deep/er/b": `{"x":"rt_planted"}`, "c": "rt_plante"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, found, err := search([]string{"ac_other", "rt_planted"}, dir)
	want := []string{filepath.Join(dir, "deep/er/b")}
	if files != 3 || !slices.Equal(found, want) || err != nil {
		t.Errorf("search = %d files, %q, %v; want 3, %q, nil", files, found, err, want)
	}
	if _, _, err := search(nil, filepath.Join(dir, "gone")); err == nil {
		t.Error("search of a folder that is not there succeeds")
	}
}
