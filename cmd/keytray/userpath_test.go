package main

import (
	"strings"
	"testing"
)

func TestPathGetsAFolderOnce(t *testing.T) {
	t.Parallel()
	const ours = `C:\Users\ann\Programs\Keytray`
	for _, test := range []struct{ name, path, want string }{
		{"none", "", ours},
		{"others, one with a variable", `%USERPROFILE%\bin;C:\x`, `%USERPROFILE%\bin;C:\x;` + ours},
		{"a separator at the end", `C:\x;`, `C:\x;` + ours},
		{"empty parts", `;;C:\x;;`, `;;C:\x;;` + ours},
		{"there", `C:\x;` + ours + `;C:\y`, `C:\x;` + ours + `;C:\y`},
		{"there in another spelling", ` "` + strings.ToUpper(ours) + `\" ;C:\y`, ` "` + strings.ToUpper(ours) + `\" ;C:\y`},
		{"a folder below it", ours + `\bin`, ours + `\bin;` + ours},
	} {
		got, err := withFolder(test.path, ours)
		if err != nil || got != test.want {
			t.Errorf("%s: %q, %v, want %q", test.name, got, err, test.want)
		}
	}
	for _, folder := range []string{"", `C:\100%`, `C:\a;b`, `C:\a"b`, "C:\\a\nb"} {
		if got, err := withFolder(`C:\x`, folder); err == nil {
			t.Errorf("%q was taken: %q", folder, got)
		}
	}
	if _, err := withFolder(strings.Repeat(`C:\x;`, longestPath/5), ours); err == nil {
		t.Error("a PATH became too long for Windows")
	}
}

func TestPathLosesAFolder(t *testing.T) {
	t.Parallel()
	const ours = `C:\Keytray`
	for _, test := range []struct{ path, want string }{
		{"", ""},
		{ours, ""},
		{`C:\x;C:\keytray\;C:\y;"C:\KEYTRAY"`, `C:\x;C:\y`},
		{`;;C:\x;`, `;;C:\x;`},
		{`C:\Keytray2;C:\Keytray\bin`, `C:\Keytray2;C:\Keytray\bin`},
	} {
		if got, _ := withoutFolder(test.path, ours); got != test.want {
			t.Errorf("of %q is left %q, want %q", test.path, got, test.want)
		}
	}
}

// FuzzUserPath: what is not ours stays as it is, and comes back when we go.
func FuzzUserPath(f *testing.F) {
	f.Add(`%USERPROFILE%\bin;C:\x;;"C:\a b";`, `C:\Users\ä 鍵\Keytray`)
	f.Add(";", `C:\`)
	f.Add("", `\`)
	f.Fuzz(func(t *testing.T, path, folder string) {
		with, err := withFolder(path, folder)
		if err != nil {
			return
		}
		if again, err := withFolder(with, folder); err != nil || again != with {
			t.Errorf("a second time %q became %q, %v", with, again, err)
		}
		rest, _ := withoutFolder(with, folder)
		if _, before := withoutFolder(path, folder); !before && strings.TrimSuffix(rest, ";") != strings.TrimSuffix(path, ";") {
			t.Errorf("of %q was left %q", path, rest)
		}
	})
}
