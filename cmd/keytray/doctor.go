package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/sink"
)

// check is one row of the doctor's table: a name, and a function that looks and,
// where it is told to mend, mends.
type check struct {
	name string
	look func(context.Context, *visit) []finding
}

// checks are all, in the order in which they run: what a later one needs comes
// first.
func checks() []check {
	return []check{
		{"state folder", lookAtFolder},
		{"keychain", lookAtKeychain},
		{"moving", lookAtOldFolder},
		{"permissions", lookAtPermissions},
		{"locks", lookAtLocks},
		{"logins", lookAtLogins},
		{"accounts", lookAtAccounts},
		{"clock", lookAtClock},
		{"ports", lookAtPorts},
		{"probe", lookAtProbes},
		{"residue", lookAtResidue},
		{"openclaw", lookAtOpenClaw},
		{"syncs", lookAtSyncs},
		{"runs", lookAtHomes},
	}
}

// visit is one run of the doctor.
type visit struct {
	a    *app
	k    *keeper.Keeper
	root sink.Root
	// fix says that what can be mended is to be mended.
	fix bool
	// probe says that logins are to be tried at their providers.
	probe bool
	// closed is why the keychain cannot be asked; nil if it can.
	closed error
}

// status is how a finding is meant.
type status string

const (
	isOK      status = "ok"
	isMended  status = "mended"
	isWarning status = "warning" // nothing is broken
	isFailed  status = "failed"
	isSkipped status = "skipped"
)

// finding is what a check has to say; none is that all is well, without a word.
type finding struct {
	Check   string `json:"check"`
	Status  status `json:"status"`
	Message string `json:"message"`
	// Remedy is what helps, a command where there is one.
	Remedy string `json:"remedy,omitempty"`

	err error // of a failure, for the exit code
}

func fine(format string, args ...any) finding {
	return finding{Status: isOK, Message: fmt.Sprintf(format, args...)}
}

func mended(format string, args ...any) finding {
	return finding{Status: isMended, Message: fmt.Sprintf(format, args...)}
}

func skipped(format string, args ...any) finding {
	return finding{Status: isSkipped, Message: fmt.Sprintf(format, args...)}
}

func warning(remedy, format string, args ...any) finding {
	return finding{Status: isWarning, Message: fmt.Sprintf(format, args...), Remedy: remedy}
}

func failed(remedy, format string, args ...any) finding {
	return finding{Status: isFailed, Message: fmt.Sprintf(format, args...), Remedy: remedy}
}

// broken is a failure that the house has words for.
func broken(err error) finding {
	_, hint := setup.Explain(err)
	return finding{Status: isFailed, Message: setup.OneLine(err), Remedy: hint, err: err}
}

// mendable is the remedy of all that --fix mends.
const mendable = "keytray doctor --fix"

func (a *app) doctorCommand() *cobra.Command {
	var fix, asJSON, probe bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check all that a login depends on, and mend it with --fix",
		Long: `Check the keychain with a secret of real size, the folders and their modes, locks,
profile files, clock, ports, and secrets that lie about in clear. A line has
what was found (ok, mended, warning, failed or skipped), by which check, and the
next one what helps. It fails if something is wrong and was not mended.

With --fix it rebuilds profile files from the keychain (a damaged one is set
aside), saves what waits for the keychain, adopts logins of another machine, takes
from others the right to write our files, and moves logins out of the folder of
an OpenClaw that has been updated.

The clock is compared with the server of a provider that you are signed in to;
nothing is said to it of the login. With --probe each login is tried at its
provider by one cheap request, where one is known.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.doctor(cmd.Context(), &visit{fix: fix, probe: probe}, asJSON)
		},
	}
	cmd.Flags().BoolVar(&fix, "fix", false, "mend what can be mended")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&probe, "probe", false, "try each login at its provider")
	return cmd
}

// doctorReport is what --json prints.
type doctorReport struct {
	SchemaVersion int       `json:"schemaVersion"`
	StateDir      string    `json:"stateDir"`
	Fix           bool      `json:"fix"`
	OK            bool      `json:"ok"`
	Checks        []finding `json:"checks"`
}

// doctor runs all checks, also after one that failed, and prints what they find.
func (a *app) doctor(ctx context.Context, v *visit, asJSON bool) error {
	root, err := a.root(false)
	if err != nil {
		return err
	}
	k, err := a.keeper(false)
	if err != nil {
		return err
	}
	v.a, v.k, v.root = a, k, root
	r := doctorReport{SchemaVersion: 1, StateDir: k.Store.Dir(), Fix: v.fix}
	for _, c := range checks() {
		for _, f := range c.look(ctx, v) {
			f.Check, f.Message, f.Remedy = c.name, plain.Text(f.Message), plain.Text(f.Remedy)
			r.Checks = append(r.Checks, f)
			if asJSON {
				continue
			}
			if err := f.print(a.sys.stdout); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	verdict := r.verdict()
	r.OK = verdict == nil
	if asJSON {
		if err := writeJSON(a.sys.stdout, r); err != nil {
			return err
		}
	}
	return verdict
}

func (f finding) print(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%-8s %-13s %s\n", f.Status, f.Check, f.Message)
	if f.Remedy != "" && err == nil {
		_, err = fmt.Fprintf(w, "%-8s %-13s hint: %s\n", "", "", f.Remedy)
	}
	return err
}

// verdict is nil if nothing has failed, and has the exit code of the first
// failure that has one of its own.
func (r doctorReport) verdict() error {
	n, names, remedy := 0, []string(nil), ""
	var first error
	for _, f := range r.Checks {
		if f.Status != isFailed {
			continue
		}
		n++
		if len(names) == 0 || names[len(names)-1] != f.Check {
			names = append(names, f.Check)
		}
		if first == nil {
			first = f.err
		}
		if f.Remedy == mendable {
			remedy = mendable
		}
	}
	if n == 0 {
		return nil
	}
	err := fmt.Errorf("not all is well: %s", strings.Join(names, ", "))
	if first == nil {
		return setup.Hinted(err, remedy)
	}
	return fmt.Errorf("%w: %w", err, first)
}
