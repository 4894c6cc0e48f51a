package oauth

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const errAddrInUse = syscall.EADDRINUSE

// exclusive has nothing to do: Linux shares a port only between sockets that all
// ask for it.
func exclusive(_, _ string, _ syscall.RawConn) error { return nil }

// holder names the process that listens on port, if it is one of this user's.
func holder(port int) string {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		inode := listeningInode(table, port)
		if inode == "" {
			continue
		}
		links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
		for _, link := range links {
			if target, err := os.Readlink(link); err == nil && target == "socket:["+inode+"]" {
				return processName(strings.Split(link, "/")[2])
			}
		}
	}
	return ""
}

// listeningInode finds the socket in a table of proc(5): the local address is
// the second field, the state (0A is LISTEN) the fourth, the inode the tenth.
func listeningInode(table string, port int) string {
	f, err := os.Open(table)
	if err != nil {
		return ""
	}
	defer f.Close()
	suffix := fmt.Sprintf(":%04X", port)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && strings.HasSuffix(fields[1], suffix) && fields[3] == "0A" && fields[9] != "0" {
			return fields[9]
		}
	}
	return ""
}

func processName(pid string) string {
	name, err := os.ReadFile("/proc/" + pid + "/comm")
	if err != nil {
		return "process " + pid
	}
	if n, err := strconv.Atoi(pid); err == nil && n == os.Getpid() {
		return "keytray itself (another sign-in is waiting)"
	}
	return cleanText(string(name)) + " (process " + pid + ")"
}
