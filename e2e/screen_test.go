//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	words "encoding/binary"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	screenWidth, screenHeight = 1024, 700

	// look is how often the tests look at the screen.
	look = 25 * time.Millisecond
)

var wholeScreen = image.Rect(0, 0, screenWidth, screenHeight)

// startDisplay starts an X server without a screen, once, and says so in the
// rig's environment. Its picture is a file, which the tests read.
func (r *rig) startDisplay() {
	r.t.Helper()
	if r.display != "" {
		return
	}
	dir := r.t.TempDir() // not the rig's: a picture need not be searched for secrets
	r.frame = filepath.Join(dir, "Xvfb_screen0")
	for n := 600; n < 700; n++ {
		if lock := lockDisplay(n); lock != nil {
			ok := r.tryDisplay(n, dir, lock)
			lock.Close() // Xvfb has it too
			if ok {
				r.display = fmt.Sprintf(":%d", n)
				r.env = append(r.env, "DISPLAY="+r.display, "XDG_SESSION_TYPE=x11",
					"NO_AT_BRIDGE=1", "GTK_A11Y=none", "GSETTINGS_BACKEND=memory")
				return
			}
		}
	}
	r.t.Fatal("starting Xvfb: no display is free, or it does not start")
}

// lockDisplay takes a display number. Xvfb's own lock files name processes,
// which mean nothing to a neighbour in another container that has the same /tmp.
func lockDisplay(n int) *os.File {
	f, err := os.OpenFile(fmt.Sprintf("/tmp/.keytray-display-%d", n), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		f.Close()
		return nil
	}
	return f
}

func (r *rig) tryDisplay(n int, dir string, lock *os.File) bool {
	r.t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command("Xvfb", fmt.Sprintf(":%d", n), "-displayfd", "3", "-fbdir", dir, "-nolisten", "tcp", "-noreset",
		"-screen", "0", fmt.Sprintf("%dx%dx24", screenWidth, screenHeight))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.ExtraFiles = []*os.File{in, lock}
	p, err := r.bus.Launch(cmd, r.newLog("Xvfb"))
	in.Close()
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		p.Kill()
		return false
	}
	r.t.Cleanup(func() { // it removes its socket when asked to end
		_ = unix.Kill(p.PID(), unix.SIGTERM)
		<-p.Done()
	})
	return true
}

// picture is a part of the screen: four bytes a point, blue, green, red and one
// that means nothing.
type picture struct {
	image.Rectangle
	pix []byte
}

// line is a part of a line; at is a point.
func (p *picture) line(y int) []byte {
	return p.pix[(y-p.Min.Y)*p.Dx()*4:][:p.Dx()*4]
}

func (p *picture) at(x, y int) [4]byte { return [4]byte(p.line(y)[(x-p.Min.X)*4:]) }

// snap is what a part of the screen shows now. The file is an X window dump:
// big-endian words, a colour map, and lines.
func (r *rig) snap(part image.Rectangle) *picture {
	r.t.Helper()
	f, err := os.Open(r.frame)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	var head [25]uint32
	if err := words.Read(f, words.BigEndian, &head); err != nil {
		r.t.Fatal(err)
	}
	if head[4] != screenWidth || head[5] != screenHeight || head[11] != 32 {
		r.t.Fatalf("the screen is %dx%d with %d bits, want %dx%d with 32", head[4], head[5], head[11], screenWidth, screenHeight)
	}
	p := &picture{Rectangle: part.Intersect(wholeScreen)}
	start, stride := int(head[0]+head[19]*12), int(head[12])
	p.pix = make([]byte, 0, p.Dx()*p.Dy()*4)
	lines := make([]byte, stride*p.Dy())
	if _, err := f.ReadAt(lines, int64(start+stride*p.Min.Y)); err != nil {
		r.t.Fatal(err)
	}
	for line := range slices.Chunk(lines, stride) {
		p.pix = append(p.pix, line[p.Min.X*4:p.Max.X*4]...)
	}
	return p
}

// differing is the smallest rectangle around all that differs in two pictures
// of the same part.
func differing(a, b *picture) (box image.Rectangle) {
	for y := a.Min.Y; y < a.Max.Y; y++ {
		if bytes.Equal(a.line(y), b.line(y)) {
			continue
		}
		for x := a.Min.X; x < a.Max.X; x++ {
			if a.at(x, y) != b.at(x, y) {
				box = box.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return box
}

// changed is what has changed since: the rectangle around it, empty if nothing has.
func (r *rig) changed(since *picture) image.Rectangle {
	r.t.Helper()
	return differing(since, r.snap(since.Rectangle))
}

// awaitChange waits until something has changed since and has come to rest.
func (r *rig) awaitChange(what string, since *picture) image.Rectangle {
	r.t.Helper()
	eventuallyEach(r.t, look, what, func() bool { return !r.changed(since).Empty() })
	return differing(since, r.still(since.Rectangle))
}

// still is what a part of the screen shows once it does not change any more.
func (r *rig) still(part image.Rectangle) *picture {
	r.t.Helper()
	last, since := r.snap(part), time.Now()
	eventuallyEach(r.t, look, "a screen that does not change", func() bool {
		now := r.snap(part)
		if !bytes.Equal(now.pix, last.pix) {
			last, since = now, time.Now()
		}
		return time.Since(since) > 100*time.Millisecond
	})
	return last
}

// screenshot keeps the screen as an artefact: go test -artifacts.
func (r *rig) screenshot(name string) {
	r.t.Helper()
	path := filepath.Join(r.t.ArtifactDir(), name+".png")
	f, err := os.Create(path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	p, m := r.snap(wholeScreen), image.NewRGBA(wholeScreen)
	for i := 0; i < len(p.pix); i += 4 {
		m.Pix[i], m.Pix[i+1], m.Pix[i+2], m.Pix[i+3] = p.pix[i+2], p.pix[i+1], p.pix[i], 255
	}
	if err := png.Encode(f, m); err != nil {
		r.t.Fatal(err)
	}
	r.t.Logf("screenshot: %s", path)
}

// TestDifferingFindsTheBox: an off-by-one here would move every click.
func TestDifferingFindsTheBox(t *testing.T) {
	part := image.Rect(10, 20, 50, 60)
	a, b := &picture{part, make([]byte, 40*40*4)}, &picture{part, make([]byte, 40*40*4)}
	if got := differing(a, b); !got.Empty() {
		t.Errorf("differing(equal) = %v, want nothing", got)
	}
	b.line(23)[(12-10)*4] = 1
	b.line(25)[(30-10)*4+2] = 1
	if got, want := differing(a, b), image.Rect(12, 23, 31, 26); got != want {
		t.Errorf("differing() = %v, want %v", got, want)
	}
}
