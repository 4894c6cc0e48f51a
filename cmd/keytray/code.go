package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
	"rsc.io/qr"

	"github.com/keytray/keytray/oauth"
)

// showCode brings a code before the person, and the page to enter it on.
func (a *app) showCode(c oauth.DeviceCode) {
	w := a.sys.stderr
	fmt.Fprintf(w, "Visit, in any browser,\n\n  %s\n\nand enter the code\n\n  %s\n\n", c.Page, c.UserCode)
	fmt.Fprintf(w, "It is good until %s. Enter it only if you have just asked for it yourself.\n", c.Expires.Local().Format("15:04"))
	a.showPicture(cmp.Or(c.Complete, c.Page))
}

// showPicture draws an address for the camera of a telephone, if stderr is a
// terminal with the room for it.
func (a *app) showPicture(address string) {
	f, ok := a.sys.stderr.(*os.File)
	if t := a.world.Getenv("TERM"); !ok || t == "" || t == "dumb" {
		return // one that may not know colours
	}
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return
	}
	lines, err := picture(address)
	if err != nil || len([]rune(lines[0])) > width || len(lines)+2 > height {
		return
	}
	drawPicture(f, lines)
}

// drawPicture sets both colours: a camera needs dark on light.
func drawPicture(w io.Writer, lines []string) {
	for _, line := range lines {
		fmt.Fprintf(w, "\x1b[30;107m%s\x1b[0m\n", line)
	}
}

// margin is the width of the margin of a picture, modules. The standard has 4;
// cameras do with less, and a terminal has few columns.
const margin = 2

// picture is a QR code in characters of two modules each, one above the other.
func picture(text string) ([]string, error) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return nil, err
	}
	black := func(x, y int) int {
		if code.Black(x, y) { // white outside
			return 1
		}
		return 0
	}
	var lines []string
	for y := -margin; y < code.Size+margin; y += 2 {
		var line strings.Builder
		for x := -margin; x < code.Size+margin; x++ {
			line.WriteRune([]rune(" ▀▄█")[black(x, y)+2*black(x, y+1)])
		}
		lines = append(lines, line.String())
	}
	return lines, nil
}
