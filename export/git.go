package export

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// GitRequest is what an answer to git depends on. Git asks its credential helpers
// in the format of https://git-scm.com/docs/git-credential#IOFMT.
type GitRequest struct {
	Protocol, Host string
	// User is empty where any will do.
	User string
	// Schemes says that the answer may name an authentication scheme, which git
	// 2.46 and later offer, and Bearer that the server does not rule out that one.
	Schemes, Bearer bool
}

// ErrGitRequest is a request that is not understood.
var ErrGitRequest = errors.New("not a request of git's")

const (
	gitLimit     = 256 << 10
	gitLineLimit = 64 << 10 // git's own
)

// ReadGit reads a request, up to its end or an empty line. One that could be read
// in two ways is refused: git would send the token to the other host.
func ReadGit(r io.Reader) (GitRequest, error) {
	q := gitFields{}
	left := &io.LimitedReader{R: r, N: gitLimit}
	lines := bufio.NewScanner(left)
	lines.Buffer(nil, gitLineLimit)
	lines.Split(wholeLines)
	for lines.Scan() && lines.Text() != "" {
		if err := q.add(lines.Text()); err != nil {
			return GitRequest{}, err
		}
	}
	if err := lines.Err(); err != nil {
		return GitRequest{}, fmt.Errorf("%w: %w", ErrGitRequest, err)
	}
	if left.N == 0 {
		return GitRequest{}, fmt.Errorf("%w: it is too long", ErrGitRequest)
	}
	if q["protocol"] == nil || q["host"] == nil {
		return GitRequest{}, fmt.Errorf("%w: it names no host", ErrGitRequest)
	}
	return GitRequest{
		Protocol: q.one("protocol"), Host: q.one("host"), User: q.one("username"),
		Schemes: slices.Contains(q["capability[]"], "authtype"),
		Bearer:  len(q["wwwauth[]"]) == 0 || offersBearer(q["wwwauth[]"]),
	}, nil
}

// wholeLines is bufio.ScanLines, but a carriage return stays and is refused.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

type gitFields map[string][]string

func (q gitFields) add(line string) error {
	name, value, ok := strings.Cut(line, "=")
	list := strings.HasSuffix(name, "[]")
	switch old := q[name]; {
	case !ok || name == "" || strings.ContainsAny(line, "\r\x00"):
		return fmt.Errorf("%w: a line is not NAME=VALUE", ErrGitRequest)
	case name == "url":
		return fmt.Errorf("%w: git itself takes an URL to pieces", ErrGitRequest)
	case list && value == "":
		delete(q, name)
	case !list && old != nil && old[0] != value:
		return fmt.Errorf("%w: it says twice, and differently, what is said once", ErrGitRequest)
	case list || old == nil:
		q[name] = append(old, value)
	}
	return nil
}

func (q gitFields) one(name string) string {
	if len(q[name]) == 0 {
		return ""
	}
	return q[name][0]
}

// offersBearer reports whether one of the server's challenges (RFC 9110 §11.6.1)
// is of the Bearer scheme.
func offersBearer(challenges []string) bool {
	for _, c := range challenges {
		for part := range strings.SplitSeq(c, ",") {
			scheme, _, _ := strings.Cut(strings.TrimSpace(part), " ")
			if strings.EqualFold(scheme, "Bearer") {
				return true
			}
		}
	}
	return false
}

// gitUser is what servers take beside a token for want of a better name; GitLab
// insists on it.
const gitUser = "oauth2"

// Git answers a request. The token goes as a bearer token where git and the server
// have that, else as a password beside user, or the name that git has already.
// Where git can be told so, the answer is ephemeral: no other helper keeps it.
func Git(q GitRequest, user string) Spec {
	return Spec{Name: "git", text: func(it Item) ([]byte, error) {
		user := cmp.Or(q.User, user, gitUser)
		token := it.Access.Reveal()
		var b strings.Builder
		switch {
		case q.Schemes && q.Bearer:
			b.WriteString("capability[]=authtype\nauthtype=Bearer\ncredential=" + token + "\nephemeral=1\n")
		case q.Schemes:
			basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + token)) // RFC 7617
			b.WriteString("capability[]=authtype\nauthtype=Basic\ncredential=" + basic + "\nephemeral=1\n")
		default:
			b.WriteString("username=" + user + "\npassword=" + token + "\n")
		}
		if !it.Expires.IsZero() {
			b.WriteString("password_expiry_utc=" + strconv.FormatInt(it.Expires.Unix(), 10) + "\n")
		}
		return []byte(b.String()), nil
	}}
}
