//go:build linux

package e2e

import (
	"image"
	"syscall"
	"testing"
	"time"
)

const (
	panelHeight = 32
	watcherName = "org.kde.StatusNotifierWatcher"
	panelFile   = ".config/xfce4/xfconf/xfce-perchannel-xml/xfce4-panel.xml"
	// panelSettings are a strip along the upper edge that has nothing but a tray.
	panelSettings = `<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array"><value type="int" value="1"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="length" type="uint" value="100"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="size" type="uint" value="32"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/><value type="int" value="2"/></property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="separator">
      <property name="expand" type="bool" value="true"/><property name="style" type="uint" value="0"/>
    </property>
    <property name="plugin-2" type="string" value="systray"><property name="square-icons" type="bool" value="true"/></property>
  </property>
</channel>
`
)

var panelStrip = image.Rect(0, 0, screenWidth, panelHeight)

// panel starts a real xfce4-panel and waits until it watches for icons; after
// killPanel, again. The first one has to be started while there is none: that is how icons are found.
func (d *desktop) panel() {
	d.t.Helper()
	need(d.t, "xfce4-panel")
	d.iconSeen = time.Time{}
	d.startXfconf()
	d.mouseAway()
	black := d.snap(panelStrip)
	d.shell = d.serve(watcherName, "xfce4-panel", "--disable-wm-check")
	d.awaitChange("a panel on the screen", black)
	if d.bare == nil {
		d.bare = d.still(panelStrip)
	}
}

// killPanel kills the panel, and the process that draws its tray.
func (d *desktop) killPanel() {
	d.t.Helper()
	d.shell.Kill()
	eventually(d.t, "the end of the tray", func() bool { return !d.owned(watcherName) })
}

// iconBox is where the panel shows an icon that was not there at first, or
// nowhere. A panel that has gone differs all along.
func (d *desktop) iconBox() image.Rectangle {
	d.t.Helper()
	box := d.changed(d.bare)
	if box.Dx() > 3*panelHeight {
		return image.Rectangle{}
	}
	return box
}

// iconVisible reports whether an icon is in the panel.
func (d *desktop) iconVisible() bool {
	d.t.Helper()
	return d.iconBox().Dx() > panelHeight/4
}

// iconAt waits for the icon and returns its middle.
func (d *desktop) iconAt() image.Point {
	d.t.Helper()
	eventuallyEach(d.t, look, "an icon in the panel", d.iconVisible)
	if d.iconSeen.IsZero() {
		d.iconSeen = time.Now()
	}
	d.still(panelStrip)
	return middle(d.iconBox())
}

// awaitNoIcon waits until the panel is as it was at first, without the pointer.
func (d *desktop) awaitNoIcon() {
	d.t.Helper()
	d.mouseAway()
	eventuallyEach(d.t, look, "a panel without an icon", func() bool { return d.changed(d.bare).Empty() })
}

func middle(r image.Rectangle) image.Point { return r.Min.Add(r.Max).Div(2) }

// TestTheIconComesBack: a panel is killed and started again, then the bus is.
func TestTheIconComesBack(t *testing.T) {
	t.Parallel()
	need(t, "Xvfb", "xdotool", "xfce4-panel")
	d := newDesktop(t, newRig(t))
	d.panel()
	tray := d.startTray(trayapp(t))
	first := d.iconAt()
	d.screenshot("icon")

	d.killPanel()
	if d.iconVisible() {
		t.Error("the icon is seen without a panel")
	}
	d.panel()
	if again := d.iconAt(); again != first {
		t.Errorf("the icon came back at %v, want %v", again, first)
	}

	tray.quit(syscall.SIGTERM)
	d.awaitNoIcon()

	d.restartBus()
	d.panel()
	d.startTray(trayapp(t))
	if again := d.iconAt(); again != first {
		t.Errorf("after a restart of the bus an icon is at %v, want %v", again, first)
	}
	if err := d.bus.Lock(t.Context()); err != nil {
		t.Errorf("after a restart of the bus the keyring does not answer: %v", err)
	}
	d.screenshot("bus-restarted")
}
