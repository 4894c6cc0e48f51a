package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/keytray/keytray/cmd/tray/view"
	"github.com/keytray/keytray/disk"
)

// memoryLimit is the largest file of settings that is read, bytes.
const memoryLimit = 4 << 20

// memory is what the tray keeps from one start to the next, in tray.json of
// Keytray's own folder: what the person ticked, and which notices were given. It
// holds no secret, and losing it costs a notice that comes twice.
type memory struct {
	path  string
	quiet bool
	every bool
	// paused outlives a restart: nobody wants renewals to resume by accident.
	paused bool
	told   view.Memory
}

// memoryRecord is the file.
type memoryRecord struct {
	Version int      `json:"version"`
	Quiet   bool     `json:"quiet,omitempty"`
	Every   bool     `json:"tellOfEveryRefresh,omitempty"`
	Paused  bool     `json:"paused,omitempty"`
	Told    []string `json:"told,omitempty"`
}

// recall reads the memory that lies in dir. One that cannot be read is empty,
// with the reason.
func recall(dir string) (*memory, error) {
	m := &memory{path: filepath.Join(dir, "tray.json"), told: view.Memory{}}
	b, err := disk.Read(m.path, memoryLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	var r memoryRecord
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return m, fmt.Errorf("reading the settings in %s: %w", m.path, err)
	}
	m.quiet, m.every, m.paused = r.Quiet, r.Every, r.Paused
	for _, cause := range r.Told {
		m.told[cause] = true
	}
	return m, nil
}

// keep writes the memory.
func (m *memory) keep() error {
	b, err := json.MarshalIndent(memoryRecord{1, m.quiet, m.every, m.paused, m.told.Causes()}, "", "  ")
	if err != nil {
		return err
	}
	if err := disk.Prepare(filepath.Dir(m.path)); err != nil {
		return err
	}
	if err := disk.Replace(m.path, append(b, '\n')); err != nil {
		return fmt.Errorf("keeping the settings: %w", err)
	}
	return nil
}
