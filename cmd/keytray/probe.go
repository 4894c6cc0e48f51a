package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/oauth"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/sink"
)

// probeTimeout is OpenClaw's.
const probeTimeout = 8 * time.Second

// probeReport is what OpenClaw's `models status --probe --json` has.
type probeReport struct {
	StartedAt    int64 `json:"startedAt"` // Unix milliseconds, as FinishedAt
	FinishedAt   int64 `json:"finishedAt"`
	DurationMs   int64 `json:"durationMs"`
	TotalTargets int   `json:"totalTargets"`
	Options      struct {
		TimeoutMs   int64 `json:"timeoutMs"`
		Concurrency int   `json:"concurrency"`
	} `json:"options"`
	Results []probeResult `json:"results"`
}

// probeResult is a login that was tried. There is no model, as Keytray has none.
type probeResult struct {
	Provider  string        `json:"provider"`
	ProfileID string        `json:"profileId"`
	Label     string        `json:"label"`
	Source    string        `json:"source"`
	Mode      string        `json:"mode"`
	Status    oauth.Verdict `json:"status"`
	Error     string        `json:"error,omitempty"`
	LatencyMs int64         `json:"latencyMs"`

	err error
}

// probe tries logins at their providers, one after the other.
func (a *app) probe(ctx context.Context, k *keeper.Keeper, profiles []sink.Profile, limit time.Duration) (*probeReport, error) {
	began := time.Now()
	r := &probeReport{StartedAt: began.UnixMilli(), TotalTargets: len(profiles), Results: []probeResult{}}
	r.Options.TimeoutMs, r.Options.Concurrency = limit.Milliseconds(), 1
	for _, p := range profiles {
		x := probeResult{Provider: p.Provider, ProfileID: p.ID, Label: label(p), Source: "profile", Mode: string(p.Kind)}
		asked := time.Now()
		x.err = a.unlocking(ctx, func() (err error) {
			x.Status, err = k.Probe(ctx, p, limit)
			return err
		})
		x.LatencyMs = time.Since(asked).Milliseconds()
		if x.err != nil {
			x.Error = plain.Text(setup.OneLine(x.err))
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r.Results = append(r.Results, x)
	}
	r.FinishedAt, r.DurationMs = time.Now().UnixMilli(), time.Since(began).Milliseconds()
	return r, nil
}

func (r *probeReport) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nPROFILE\tPROBE")
	for _, x := range r.Results {
		text := string(x.Status)
		if x.Error != "" {
			text += ": " + x.Error
		} else {
			text += fmt.Sprintf(" after %d ms", x.LatencyMs)
		}
		fmt.Fprintf(t, "%s\t%s\n", plain.Text(x.ProfileID), text)
	}
	return t.Flush()
}

// lookAtProbes tries all logins of all agents, if a person asked for that.
func lookAtProbes(ctx context.Context, v *visit) []finding {
	if !v.probe {
		return nil
	}
	if v.closed != nil {
		return []finding{skipped("the keychain cannot be asked")}
	}
	var found []finding
	for p := range v.profiles() {
		r, err := v.a.probe(ctx, v.k, []sink.Profile{p}, probeTimeout)
		if err != nil {
			return append(found, broken(err))
		}
		found = append(found, r.Results[0].finding(p))
	}
	if found == nil {
		found = append(found, skipped("there is no login to try"))
	}
	return found
}

// finding is a result as the doctor says it.
func (x probeResult) finding(p sink.Profile) finding {
	name := fmt.Sprintf("%s of agent %s", p.ID, p.Agent)
	switch {
	case x.Status == oauth.Works:
		return fine("%s works, as its provider says (%d ms)", name, x.LatencyMs)
	case errors.Is(x.err, keeper.ErrNoProbe):
		return skipped("%s: %s", name, x.Error)
	case x.Status == oauth.Unwanted:
		f := failed("sign in again: `keytray login`, or `keytray refresh` once", "%s is not accepted by its provider: %s", name, x.Error)
		if _, hint := setup.Explain(x.err); hint != "" {
			f.Remedy = hint
		}
		return f
	default:
		return warning("", "%s could not be tried (%s): %s", name, x.Status, x.Error)
	}
}
