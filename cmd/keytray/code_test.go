package main

import (
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keytray/keytray/cmd/setup"
)

// TestAPictureIsRead by another program, from the characters of the terminal.
func TestAPictureIsRead(t *testing.T) {
	t.Parallel()
	zbar, err := exec.LookPath("zbarimg")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("zbarimg is not installed (Debian: apt-get install zbar-tools)")
	}
	for _, text := range []string{"https://auth.openai.com/codex/device", "https://as.test/device?user_code=WDJB-MJHT&" + strings.Repeat("x", 200)} {
		lines, err := picture(text)
		if err != nil {
			t.Fatal(err)
		}
		if len([]rune(lines[0])) > 80 {
			t.Errorf("%s needs %d columns", text, len([]rune(lines[0])))
		}
		path := filepath.Join(t.TempDir(), "code.png")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(f, pixels(lines)); err != nil {
			t.Fatal(err)
		}
		f.Close()
		out, err := exec.Command(zbar, "--quiet", "--raw", path).Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != text {
			t.Errorf("read %q, %v, want %q", got, err, text)
		}
	}
}

// pixels draws characters of two modules as a terminal does, dark on light.
func pixels(lines []string) image.Image {
	const scale = 4
	img := image.NewGray(image.Rect(0, 0, len([]rune(lines[0]))*scale, len(lines)*2*scale))
	for y := range img.Rect.Max.Y {
		for x := range img.Rect.Max.X {
			char := []rune(lines[y/scale/2])[x/scale]
			upper, lower := char == '▀' || char == '█', char == '▄' || char == '█'
			if y/scale%2 == 0 && !upper || y/scale%2 == 1 && !lower {
				img.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	return img
}

// TestTunnel: what is offered to somebody who came over ssh.
func TestTunnel(t *testing.T) {
	t.Parallel()
	host, _ := os.Hostname()
	const page = "https://as.test/a?redirect_uri=http%3A%2F%2Flocalhost%3A1455%2Fcb&state=x"
	for _, tt := range []struct{ session, page, want string }{
		{"", page, ""},
		{"192.0.2.7 50000 192.0.2.1 22", page, "ssh -L 1455:127.0.0.1:1455 " + host},
		{"192.0.2.7 50000 192.0.2.1 2222", page, "ssh -L 1455:127.0.0.1:1455 -p 2222 " + host},
		{"192.0.2.7 50000 192.0.2.1 $(id)", page, ""},
		{"192.0.2.7 50000", page, ""},
		{"192.0.2.7 50000 192.0.2.1 22", "https://as.test/a", ""},
	} {
		a := &app{world: &setup.World{Environ: []string{"SSH_CONNECTION=" + tt.session}}}
		if got := a.tunnel(tt.page); got != tt.want {
			t.Errorf("tunnel(%q) = %q, want %q", tt.session, got, tt.want)
		}
	}
}
