// Trayapp is the smallest program with an icon that the desktop rig can be
// tried on: an item, a submenu, a checkbox, an item that cannot be chosen, and
// Quit. It prints what happens to it.
package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"os/signal"
	"syscall"
	"time"

	"fyne.io/systray"
)

func main() {
	ctx := make(chan os.Signal, 1)
	signal.Notify(ctx, syscall.SIGTERM)
	go func() {
		<-ctx
		systray.Quit()
	}()
	// Before Run: set in ready, it is lost now and then.
	systray.SetIcon(square())
	systray.SetTitle("Trayapp")
	systray.Run(ready, func() { fmt.Println("ended") })
}

func square() []byte {
	m := image.NewNRGBA(image.Rect(0, 0, 32, 32))
	draw.Draw(m, m.Bounds().Inset(2), image.NewUniform(color.NRGBA{220, 40, 40, 255}), image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func ready() {
	sign := systray.AddMenuItem("Sign in", "")
	people := systray.AddMenuItem("People", "")
	systray.AddMenuItem("Not now", "").Disable()
	systray.AddSeparator()
	pause := systray.AddMenuItemCheckbox("Pause", "", false)
	quit := systray.AddMenuItem("Quit", "")
	go func() {
		// A panel of GTK's loses items that it learns of together with their submenu.
		time.Sleep(1200 * time.Millisecond)
		ann, bob := people.AddSubMenuItem("ann/work", ""), people.AddSubMenuItem("bob_home", "")
		for {
			select {
			case <-sign.ClickedCh:
				fmt.Println("clicked Sign in")
			case <-ann.ClickedCh:
				fmt.Println("clicked ann/work")
			case <-bob.ClickedCh:
				fmt.Println("clicked bob_home")
			case <-pause.ClickedCh:
				fmt.Println("clicked Pause")
				pause.Check()
			case <-quit.ClickedCh:
				systray.Quit()
			}
		}
	}()
}
