package icon_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/keytray/keytray/cmd/tray/icon"
)

var states = []icon.State{icon.Normal, icon.Attention, icon.Working, icon.Paused, icon.Locked}

// A set is the pictures of one system and theme, one file per state.
type set struct {
	file  string // with a verb for the state
	sizes []int
	bars  []color.Gray // the backgrounds that it is made for
}

var (
	light = color.Gray{0xec}
	dark  = color.Gray{0x2b}
	sets  = []set{
		{"linux/%s.png", []int{48}, []color.Gray{light, dark}},
		{"darwin/%s.png", []int{32}, []color.Gray{light}},
		{"windows/%s-light.ico", []int{16, 20, 24, 32, 48}, []color.Gray{light}},
		{"windows/%s-dark.ico", []int{16, 20, 24, 32, 48}, []color.Gray{dark}},
	}
)

func TestEveryStateHasItsSizes(t *testing.T) {
	t.Parallel()
	for _, s := range sets {
		for _, state := range states {
			file := fmt.Sprintf(s.file, state)
			var got []int
			for _, m := range read(t, file) {
				if m.Bounds().Dx() != m.Bounds().Dy() {
					t.Errorf("%s has a picture of %v", file, m.Bounds())
				}
				got = append(got, m.Bounds().Dx())
			}
			if !slices.Equal(got, s.sizes) {
				t.Errorf("%s has pictures of %d pixels, want %d", file, got, s.sizes)
			}
		}
	}
	if b := read(t, "app.png")[0].Bounds(); b.Dx() != 256 || b.Dy() != 256 {
		t.Errorf("app.png is %v, want 256 x 256", b)
	}
}

// TestStatesDifferInShape looks at the masks alone, as somebody does who cannot
// tell the colours apart.
func TestStatesDifferInShape(t *testing.T) {
	t.Parallel()
	for _, s := range sets {
		for i, a := range states {
			for _, b := range states[:i] {
				as, bs := read(t, fmt.Sprintf(s.file, a)), read(t, fmt.Sprintf(s.file, b))
				for k := range as {
					if d := difference(as[k], bs[k]); d < 0.05 {
						t.Errorf("%s: %s and %s differ in %.1f %% of their %d pixels' mask, want 5 %%", s.file, a, b, 100*d, as[k].Bounds().Dx())
					}
				}
			}
		}
	}
}

// difference is the mean difference of two masks: 0 the same, 1 one the negative
// of the other.
func difference(a, b image.Image) float64 {
	var sum, n float64
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			_, _, _, alphaA := a.At(x, y).RGBA()
			_, _, _, alphaB := b.At(x, y).RGBA()
			sum += math.Abs(float64(alphaA)-float64(alphaB)) / 0xffff
			n++
		}
	}
	return sum / n
}

// TestSeenOnTheirBars asks for the contrast that WCAG 2.2 wants of graphics.
func TestSeenOnTheirBars(t *testing.T) {
	t.Parallel()
	for _, s := range sets {
		for _, state := range states {
			for _, m := range read(t, fmt.Sprintf(s.file, state)) {
				for _, bar := range s.bars {
					if c := contrast(m, bar); c < 3 {
						t.Errorf("%s of %s on %x: contrast %.1f, want 3", s.file, state, bar.Y, c)
					}
				}
			}
		}
	}
}

// contrast is the least of all opaque pixels of m on bar.
func contrast(m image.Image, bar color.Color) float64 {
	least := math.Inf(1)
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			if _, _, _, alpha := m.At(x, y).RGBA(); alpha == 0xffff {
				a, b := luminance(m.At(x, y)), luminance(bar)
				least = min(least, (max(a, b)+0.05)/(min(a, b)+0.05))
			}
		}
	}
	return least
}

func luminance(c color.Color) float64 {
	linear := func(v uint32) float64 {
		f := float64(v) / 0xffff
		if f <= 0.04045 {
			return f / 12.92
		}
		return math.Pow((f+0.055)/1.055, 2.4)
	}
	r, g, b, _ := c.RGBA()
	return 0.2126*linear(r) + 0.7152*linear(g) + 0.0722*linear(b)
}

func TestTemplatesAreBlack(t *testing.T) {
	t.Parallel()
	for _, state := range states {
		m := read(t, fmt.Sprintf("darwin/%s.png", state))[0]
		for y := range m.Bounds().Dy() {
			for x := range m.Bounds().Dx() {
				if r, g, b, _ := m.At(x, y).RGBA(); r|g|b != 0 {
					t.Fatalf("%s: the pixel at %d, %d is %v", state, x, y, m.At(x, y))
				}
			}
		}
	}
}

func TestOf(t *testing.T) {
	t.Parallel()
	for _, state := range states {
		if len(icon.Of(state, icon.Dark())) == 0 {
			t.Errorf("no picture of %s", state)
		}
	}
	want, err := os.ReadFile("app.png")
	if err != nil || !bytes.Equal(icon.App(), want) {
		t.Errorf("App() is %d bytes, want the %d of app.png (%v)", len(icon.App()), len(want), err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a state that there is not has a picture")
		}
	}()
	icon.Of("asleep", false)
}

// TestPicturesAreOfTheDrawings draws them again. Another version of the drawing
// program may differ a little at the edges.
func TestPicturesAreOfTheDrawings(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("draws all of them, which takes a second")
	}
	for program, pkg := range map[string]string{"sh": "dash", "rsvg-convert": "librsvg2-bin"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed (Debian: apt-get install %s)", program, pkg)
		}
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "sh", "../../../packaging/icons/render.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("render.sh: %v\n%s", err, out)
	}
	files := []string{"app.png"}
	for _, s := range sets {
		for _, state := range states {
			files = append(files, fmt.Sprintf(s.file, state))
		}
	}
	for _, file := range files {
		got, want := read(t, file), read(t, filepath.Join(dir, file))
		for i := range want {
			if d := distance(got[i], want[i]); d > 0.01 {
				t.Errorf("%s, picture %d, is not of the drawing (distance %.3f): run packaging/icons/render.sh", file, i, d)
			}
		}
	}
}

// distance is the mean difference of all channels.
func distance(a, b image.Image) float64 {
	var sum, n float64
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			ar, ag, ab, aa := a.At(x, y).RGBA()
			br, bg, bb, ba := b.At(x, y).RGBA()
			for _, pair := range [][2]uint32{{ar, br}, {ag, bg}, {ab, bb}, {aa, ba}} {
				sum += math.Abs(float64(pair[0])-float64(pair[1])) / 0xffff
				n++
			}
		}
	}
	return sum / n
}

// read returns the picture of a PNG, or those of an ICO that holds PNGs.
func read(t *testing.T, file string) []image.Image {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(file) != ".ico" {
		return []image.Image{decode(t, file, b)}
	}
	var images []image.Image
	for i := range int(binary.LittleEndian.Uint16(b[4:])) {
		entry := b[6+16*i:]
		size, at := binary.LittleEndian.Uint32(entry[8:]), binary.LittleEndian.Uint32(entry[12:])
		m := decode(t, file, b[at:at+size])
		if m.Bounds().Dx() != int(entry[0]) {
			t.Errorf("%s says %d pixels of a picture of %d", file, entry[0], m.Bounds().Dx())
		}
		images = append(images, m)
	}
	return images
}

func decode(t *testing.T, file string, b []byte) image.Image {
	t.Helper()
	m, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return m
}
