package export

import (
	"fmt"
	"io"

	"github.com/keytray/keytray/secret"
)

// Answer is what OpenClaw is told that asked for several secrets, by the ids that
// it asked for. Each id is in one of the two.
type Answer struct {
	Values map[string]secret.Text
	Errors map[string]Refusal
}

// Refusal is why there is no secret for an id. Older versions of OpenClaw show
// Message in their log, newer ones no more than a Code that they know.
type Refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// OpenClaw is an answer in OpenClaw's exec protocol, version 1: one line.
func OpenClaw(w io.Writer, a Answer) error {
	values := make(map[string]string, len(a.Values))
	for id, t := range a.Values {
		values[id] = t.Reveal()
	}
	b, err := encode(struct {
		ProtocolVersion int                `json:"protocolVersion"`
		Values          map[string]string  `json:"values"`
		Errors          map[string]Refusal `json:"errors,omitempty"`
	}{1, values, a.Errors}, "")
	if err != nil {
		return err
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}
