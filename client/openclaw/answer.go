package openclaw

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/keytray/keytray/plain"
)

// said is what OpenClaw complained of: the message of its JSON answer, else the
// last line on stderr.
func said(out, complaint []byte) string {
	var answer struct {
		Error struct{ Message string }
	}
	if json.Unmarshal(out, &answer) == nil && answer.Error.Message != "" {
		return plain.Line(answer.Error.Message, 300)
	}
	lines := strings.Split(strings.TrimSpace(string(complaint)), "\n")
	return plain.Line(lines[len(lines)-1], 300)
}

// decode reads the JSON of an answer, before which some versions print lines of
// their log.
func decode(out []byte, into any) error {
	if i := bytes.IndexByte(out, '{'); i > 0 && (out[i-1] == '\n') {
		out = out[i:]
	}
	return json.Unmarshal(out, into)
}
