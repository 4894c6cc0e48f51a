package client

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/keytray/keytray/object"
	"github.com/keytray/keytray/sink"
)

// claudeForm is Claude Code's .credentials.json, on Linux and Windows. Other
// things than the login lie in the same object.
type claudeForm struct{}

// claudeStale is when Claude Code takes a lock for left behind.
const claudeStale = time.Minute

func (claudeForm) locks(s Source, _ Login) []lock {
	dir := filepath.Dir(s.Path)
	return []lock{
		newFolderLock(filepath.Join(dir, ".oauth_refresh.lock"), claudeStale),
		newFolderLock(dir+".lock", claudeStale),
		newFolderLock(filepath.Join(dir, ".storage-write.lock"), claudeStale),
	}
}

func (claudeForm) logins(top object.JSON) ([]Login, error) {
	o, err := top.Object("claudeAiOauth")
	if err != nil || o == nil {
		return nil, err
	}
	l := Login{Name: "claudeAiOauth", Provider: "anthropic", Kind: sink.KindOAuth}
	var errs [4]error
	l.Access, errs[0] = secretOf(o, "accessToken")
	l.Refresh, errs[1] = secretOf(o, "refreshToken")
	l.Expires, errs[2] = o.Time("expiresAt")
	l.Claim.Client, errs[3] = o.Text("clientId")
	if l.Refresh.Empty() {
		l.Kind = sink.KindToken // a setup token, or what a sink wrote
	}
	return []Login{l}, errors.Join(errs[:]...)
}

// strip ends the login, whose access token is all there is of it.
func (claudeForm) strip(top object.JSON, l Login, _ bool) object.JSON {
	if l.Kind != sink.KindOAuth {
		return top.Without("claudeAiOauth")
	}
	o, _ := top.Object("claudeAiOauth")
	return top.Set("claudeAiOauth", o.Without("refreshToken", "refreshTokenExpiresAt").Encode())
}
