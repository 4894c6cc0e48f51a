package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/keytray/keytray/disk"
)

var (
	// ErrAgentExists means that an agent of that name is there already.
	ErrAgentExists = errors.New("there is an agent of that name")
	// ErrRenews means that a login renews itself and therefore has one place only.
	ErrRenews = errors.New("a login that renews itself is never copied")
)

// Agent is somebody who has logins of their own.
type Agent struct {
	ID string
	// Workspace is the folder that the agent works in, as far as anybody said. It
	// need not exist.
	Workspace string
	// Dir is the folder of the agent's files.
	Dir string
}

// agentFile is agents/<agent>/keytray.json: what is known of an agent beyond its
// logins.
type agentFile struct {
	V         int    `json:"version"`
	Workspace string `json:"workspace"`
}

// AddAgent makes an agent without logins. Without a workspace it gets OpenClaw's
// default, workspace-<agent> in the state root.
func (s *Store) AddAgent(ctx context.Context, id, workspace string) (Agent, error) {
	if err := CheckAgent(id); err != nil {
		return Agent{}, err
	}
	if err := s.disk.Prepare(s.dir); err != nil {
		return Agent{}, err
	}
	unlock, err := s.lockRoot(ctx)
	if err != nil {
		return Agent{}, err
	}
	defer unlock()
	if id == DefaultAgent || disk.Exists(filepath.Join(s.dir, "agents", id)) {
		return Agent{}, fmt.Errorf("%s: %w", id, ErrAgentExists)
	}
	if err := s.disk.Prepare(s.dir, "agents", id, "agent"); err != nil {
		return Agent{}, err
	}
	if workspace != "" {
		if err := s.disk.Replace(s.agentFile(id), append(mustJSON(agentFile{1, workspace}), '\n')); err != nil {
			return Agent{}, fmt.Errorf("adding agent %s: %w", id, err)
		}
	}
	return s.Agent(id), nil
}

func (s *Store) agentFile(id string) string {
	return filepath.Join(s.dir, "agents", id, "keytray.json")
}

// Agent is what is known of an agent, which need not exist.
func (s *Store) Agent(id string) Agent {
	a := Agent{ID: id, Dir: s.agentDir(id), Workspace: filepath.Join(s.dir, "workspace-"+id)}
	if id == DefaultAgent {
		a.Workspace = filepath.Join(s.dir, "workspace")
	}
	var f agentFile
	b, err := s.disk.Read(s.agentFile(id), 64<<10)
	if err == nil && json.Unmarshal(b, &f) == nil && filepath.IsAbs(f.Workspace) {
		a.Workspace = f.Workspace
	}
	return a
}

// AllAgents are the default agent, which is always there, and those that have a
// folder.
func (s *Store) AllAgents() []Agent {
	names := slices.DeleteFunc(s.Agents(), func(id string) bool { return id == DefaultAgent })
	all := []Agent{s.Agent(DefaultAgent)}
	for _, id := range names {
		all = append(all, s.Agent(id))
	}
	return all
}

// Copy gives another agent a login that does not renew itself: a token or an API
// key. ErrRenews for any other, since two copies of a refresh token end with one
// of them signed out. A login of that id that is there already stays.
func (s *Store) Copy(ctx context.Context, from, to Ref) error {
	var c Credential
	var ok bool
	err := s.Update(ctx, from, func(tx *Tx) error {
		c, ok = tx.Current()
		return nil
	})
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("%s: %w", from.ID, ErrUnknownProfile)
	case c.Kind != KindToken && c.Kind != KindAPIKey, !c.Refresh.Empty():
		return fmt.Errorf("%s: %w", from.ID, ErrRenews)
	}
	return s.Update(ctx, to, func(tx *Tx) error {
		if _, ok := tx.Current(); ok {
			return nil
		}
		return tx.Received(c)
	})
}
