package main

import (
	"errors"
	"strings"
)

// longestPath is more than Windows lets all of PATH be.
const longestPath = 32767 - 1

var errPath = errors.New("this folder cannot stand in PATH")

// withFolder is a PATH of Windows with a folder at its end, unless it is there.
// The rest of it stays as it is, to the letter.
func withFolder(path, folder string) (string, error) {
	if folder == "" || strings.ContainsAny(folder, "\"%;\x00\r\n") { // a % is replaced by the system, a ; not understood by all
		return "", errPath
	}
	if _, there := withoutFolder(path, folder); there {
		return path, nil
	}
	if path != "" && !strings.HasSuffix(path, ";") {
		path += ";"
	}
	if len(path)+len(folder) > longestPath {
		return "", errors.New("PATH is too long for another folder")
	}
	return path + folder, nil
}

// withoutFolder is a PATH of Windows without a folder, and whether that was there.
func withoutFolder(path, folder string) (rest string, there bool) {
	var kept []string
	for entry := range strings.SplitSeq(path, ";") {
		if sameFolder(entry, folder) {
			there = true
			continue
		}
		kept = append(kept, entry)
	}
	if !there {
		return path, false
	}
	return strings.Join(kept, ";"), true
}

func sameFolder(entry, folder string) bool {
	clean := func(s string) string { return strings.TrimRight(strings.Trim(strings.TrimSpace(s), `"`), `\/`) }
	return folder != "" && strings.EqualFold(clean(entry), clean(folder))
}
