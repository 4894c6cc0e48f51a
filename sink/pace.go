package sink

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"time"
)

// Pace is how the last renewals of a profile went, for whoever decides when to
// try again. It lies in a file beside the lock, holds no secret, and may be lost
// without harm.
type Pace struct {
	// Failures counts those in a row; Last is when the latest request was sent.
	Failures int
	Last     time.Time
	// Next is the earliest time for another try, unless a person asks.
	Next time.Time
	// Doubt is when the server first refused for a reason that nobody knows.
	Doubt time.Time
}

type paceFile struct {
	Failures int   `json:"failures"`
	Last     int64 `json:"last,omitempty"`
	Next     int64 `json:"next,omitempty"`
	Doubt    int64 `json:"doubt,omitempty"`
}

func (tx *Tx) pacePath() string { return filepath.Join(tx.at.place, tx.at.key+".pace") }

// Pace returns the zero value after a success.
func (tx *Tx) Pace() Pace {
	if tx.pace == nil {
		var f paceFile
		if b, err := tx.s.disk.Read(tx.pacePath(), 4096); err == nil && json.Unmarshal(b, &f) != nil {
			f = paceFile{}
		}
		tx.pace = &Pace{f.Failures, fromMillis(f.Last), fromMillis(f.Next), fromMillis(f.Doubt)}
	}
	return *tx.pace
}

// SetPace remembers p. Failing to do so is of no consequence for the login.
func (tx *Tx) SetPace(p Pace) error {
	tx.pace = &p
	return tx.s.disk.Replace(tx.pacePath(), mustJSON(paceFile{p.Failures, millis(p.Last), millis(p.Next), millis(p.Doubt)}))
}

// clearPace forgets failures after a success.
func (tx *Tx) clearPace() error {
	tx.pace = nil
	if _, err := tx.s.disk.Read(tx.pacePath(), 4096); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return tx.s.disk.Remove(tx.pacePath())
}
