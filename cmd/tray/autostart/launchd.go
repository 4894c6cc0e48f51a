//go:build !windows

package autostart

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// agentLabel names the LaunchAgent, and its file.
const agentLabel = "io.github.keytray.tray"

// An agent is a LaunchAgent of launchd. Its file is all that is touched: launchd
// reads it when the user signs in, and unloading it now would end the program.
type agent struct{ program, home string }

func (a agent) path() string {
	return filepath.Join(a.home, "Library", "LaunchAgents", agentLabel+".plist")
}

// enabled looks for the file. What `launchctl disable` says beside it is not
// kept in any file that may be read.
func (a agent) enabled() (bool, error) {
	if !filepath.IsAbs(a.home) {
		return false, errNoHome
	}
	_, err := os.Stat(a.path())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (a agent) set(on bool) error {
	if !filepath.IsAbs(a.home) {
		return errNoHome
	}
	if !on {
		return remove(a.path())
	}
	if err := checkProgram(a.program); err != nil {
		return err
	}
	return replace(a.path(), plist(a.program))
}

// plist is the property list that starts program in the user's graphical
// session.
func plist(program string) string {
	text := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>` + agentLabel + `</string>
	<key>ProgramArguments</key>
	<array>
		<string>` + text.Replace(program) + `</string>
	</array>
	<key>RunAtLoad</key>
	<true/>
	<key>LimitLoadToSessionType</key>
	<string>Aqua</string>
	<key>ProcessType</key>
	<string>Interactive</string>
</dict>
</plist>
`
}
