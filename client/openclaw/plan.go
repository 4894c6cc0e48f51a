package openclaw

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/sink"
)

// Alias is Keytray's name among OpenClaw's secret providers.
const Alias = "keytray"

// resolveTime is how long OpenClaw waits for the resolver, which answers in less.
const resolveTime = 15 * time.Second

// passEnv is what the resolver may see of OpenClaw's environment: where the
// keychain, the person's files and those of OpenClaw's agents are. It works with
// none of it, unless an agent's files are where a variable says.
var passEnv = []string{
	"HOME", "USER", "PATH", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "XDG_STATE_HOME",
	"DISPLAY", "WAYLAND_DISPLAY", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "SYSTEMROOT",
	"OPENCLAW_STATE_DIR", "OPENCLAW_HOME", "OPENCLAW_PROFILE", "OPENCLAW_AGENT_DIR",
}

// secretProvider is an entry of OpenClaw's secrets.providers. It has no other
// member: newer versions refuse what older ones offered.
type secretProvider struct {
	Source          string   `json:"source"`
	Command         string   `json:"command"`
	Args            []string `json:"args,omitempty"`
	PassEnv         []string `json:"passEnv,omitempty"`
	TimeoutMS       int64    `json:"timeoutMs,omitempty"`
	NoOutputTimeout int64    `json:"noOutputTimeoutMs,omitempty"`
	MaxOutputBytes  int      `json:"maxOutputBytes,omitempty"`
	JSONOnly        bool     `json:"jsonOnly,omitempty"`
}

type ref struct {
	Source   string `json:"source"`
	Provider string `json:"provider"`
	ID       string `json:"id"`
}

type target struct {
	Type     string   `json:"type"`
	Path     string   `json:"path"`
	Segments []string `json:"pathSegments"`
	Agent    string   `json:"agentId"`
	Provider string   `json:"authProfileProvider"`
	Ref      ref      `json:"ref"`
}

// Plan is what `openclaw secrets apply` is given. It holds no secret.
type Plan struct {
	Version     int                       `json:"version"`
	Protocol    int                       `json:"protocolVersion"`
	GeneratedAt string                    `json:"generatedAt"`
	GeneratedBy string                    `json:"generatedBy"`
	Upserts     map[string]secretProvider `json:"providerUpserts,omitempty"`
	Deletes     []string                  `json:"providerDeletes,omitempty"`
	Targets     []target                  `json:"targets"`
	Options     map[string]bool           `json:"options"`
}

func newPlan(now time.Time) Plan {
	return Plan{
		Version: 1, Protocol: 1, GeneratedAt: now.UTC().Format("2006-01-02T15:04:05.000Z"), GeneratedBy: "manual",
		Targets: []target{},
		// What else OpenClaw finds of secrets it leaves alone.
		Options: map[string]bool{"scrubEnv": false, "scrubAuthProfilesForProviderTargets": false, "scrubLegacyAuthJson": false},
	}
}

// Connect is the plan that has OpenClaw ask resolver for these profiles' tokens,
// as they are in the state folder root.
func Connect(resolver, root string, profiles []Profile, now time.Time) Plan {
	p := newPlan(now)
	p.Upserts = map[string]secretProvider{Alias: {
		Source: "exec", Command: resolver, Args: []string{"openclaw", "resolve", "--state-dir", root}, PassEnv: passEnv,
		TimeoutMS: resolveTime.Milliseconds(), NoOutputTimeout: resolveTime.Milliseconds(), MaxOutputBytes: 1 << 20, JSONOnly: true,
	}}
	for _, x := range profiles {
		kind, field := "token", "token"
		if x.Kind == sink.KindAPIKey {
			kind, field = "api_key", "key"
		}
		p.Targets = append(p.Targets, target{
			Type: "auth-profiles." + kind + "." + field, Path: "profiles." + x.Name + "." + field,
			Segments: []string{"profiles", x.Name, field},
			Agent:    x.Agent, Provider: x.Provider, Ref: ref{"exec", Alias, x.Ref},
		})
	}
	return p
}

// Disconnect has OpenClaw forget Keytray. No profile may refer to it any more. The
// plans lie in folder meanwhile.
func (p Program) Disconnect(ctx context.Context, v Version, resolver, folder string, now time.Time) error {
	all := newPlan(now)
	all.Deletes = []string{Alias}
	err := p.Apply(ctx, v, all, folder)
	if f, ok := errors.AsType[*FailedError](err); !ok || !strings.Contains(f.Said, "size-drop") {
		return err
	}
	// It takes a configuration that shrinks by half for a mistake; so in steps.
	for _, less := range []secretProvider{
		{Source: "exec", Command: resolver, Args: []string{"openclaw", "resolve"}, TimeoutMS: resolveTime.Milliseconds(), NoOutputTimeout: resolveTime.Milliseconds(), MaxOutputBytes: 1 << 20, JSONOnly: true},
		{Source: "exec", Command: resolver},
	} {
		step := newPlan(now)
		step.Upserts = map[string]secretProvider{Alias: less}
		if err := p.Apply(ctx, v, step, folder); err != nil {
			return err
		}
	}
	return p.Apply(ctx, v, all, folder)
}

// Try has OpenClaw say whether it would carry out the plan. The plan lies in
// folder meanwhile.
func (p Program) Try(ctx context.Context, v Version, plan Plan, folder string) error {
	if err := p.plan(ctx, v, plan, folder, "--dry-run"); err != nil {
		return fmt.Errorf("trying the change: %w", err)
	}
	return nil
}

// Apply has OpenClaw carry the plan out. It lies in folder meanwhile.
func (p Program) Apply(ctx context.Context, v Version, plan Plan, folder string) error {
	if err := p.plan(ctx, v, plan, folder); err != nil {
		return fmt.Errorf("making the change: %w", err)
	}
	return nil
}

func (p Program) plan(ctx context.Context, v Version, plan Plan, folder string, flags ...string) error {
	b, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	path := filepath.Join(folder, "plan.json")
	if err := disk.Replace(path, b); err != nil {
		return err
	}
	defer os.Remove(path)
	_, err = p.run(ctx, p.allowing(v, append([]string{"secrets", "apply", "--from", path, "--json"}, flags...)...)...)
	return err
}

// allowing lets the resolver be run, which versions before the flag do anyway.
func (p Program) allowing(v Version, args ...string) []string {
	if v.Before(firstAllow) {
		return args
	}
	return append(args, "--allow-exec")
}

// Audit is what OpenClaw finds in its files.
type Audit struct {
	// Unresolved references get no secret; Plaintext are secrets in clear.
	Unresolved, Plaintext int
	// First says what is wrong with the first unresolved one.
	First string
}

// Audit has OpenClaw resolve every reference once.
func (p Program) Audit(ctx context.Context, v Version) (Audit, error) {
	out, err := p.run(ctx, p.allowing(v, "secrets", "audit", "--json")...)
	var answer struct {
		Summary *struct{ PlaintextCount, UnresolvedRefCount int }
		// Findings name files and members, not values.
		Findings []struct{ Code, Message string }
	}
	if decode(out, &answer) != nil || answer.Summary == nil {
		return Audit{}, cmp.Or(err, errors.New("openclaw secrets audit: its answer is not understood"))
	}
	a := Audit{Unresolved: answer.Summary.UnresolvedRefCount, Plaintext: answer.Summary.PlaintextCount}
	for _, f := range answer.Findings {
		if f.Code == "REF_UNRESOLVED" {
			a.First = said(nil, []byte(f.Message))
			break
		}
	}
	return a, nil
}

// Order is the stored order of a provider's profiles, nil where none is stored.
func (p Program) Order(ctx context.Context, agent, provider string) ([]string, error) {
	out, err := p.run(ctx, "models", "auth", "order", "get", "--provider", provider, "--agent", agent, "--json")
	if err != nil {
		return nil, err
	}
	var answer struct{ Order []string }
	if err := decode(out, &answer); err != nil {
		return nil, fmt.Errorf("openclaw models auth order get: %w", err)
	}
	return answer.Order, nil
}

// SetOrder stores an order; none at all lets OpenClaw choose.
func (p Program) SetOrder(ctx context.Context, agent, provider string, names []string) error {
	verb := []string{"models", "auth", "order", "set", "--provider", provider, "--agent", agent}
	if len(names) == 0 {
		verb[3] = "clear"
	}
	_, err := p.run(ctx, append(verb, names...)...)
	return err
}

// Stored are the names of an agent's profiles of a provider. Versions before
// 2026.5.7 do not tell.
func (p Program) Stored(ctx context.Context, agent, provider string) ([]string, error) {
	out, err := p.run(ctx, "models", "auth", "--agent", agent, "list", "--provider", provider, "--json")
	if err != nil {
		return nil, err
	}
	var answer struct{ Profiles []struct{ ID string } }
	if err := decode(out, &answer); err != nil {
		return nil, fmt.Errorf("openclaw models auth list: %w", err)
	}
	var names []string
	for _, x := range answer.Profiles {
		names = append(names, x.ID)
	}
	return names, nil
}

// Forget removes a profile, if it is there. Versions before 2026.8 cannot.
func (p Program) Forget(ctx context.Context, x Profile) error {
	_, err := p.run(ctx, "models", "auth", "--agent", x.Agent, "logout", x.Name, "--yes")
	if err == nil {
		return nil
	}
	if there, e := p.Stored(ctx, x.Agent, x.Provider); e == nil && !slices.Contains(there, x.Name) {
		return nil
	}
	return fmt.Errorf("removing %s from OpenClaw: %w", x.Name, err)
}

// Reload has the running gateway ask the resolver anew; ErrNoGateway where none
// runs.
func (p Program) Reload(ctx context.Context) error {
	_, err := p.run(ctx, "secrets", "reload", "--json")
	if f, ok := errors.AsType[*FailedError](err); ok && absent(f.Said) {
		return ErrNoGateway
	}
	return err
}

// absent: the words of 2026.9 and of 2026.5 for a gateway that is not there. One
// that is there and wants the person to approve of us closes with another number.
func absent(said string) bool {
	return strings.Contains(said, "Gateway not reachable") ||
		strings.Contains(said, "Gateway did not respond") && strings.Contains(said, "(1006 ")
}
