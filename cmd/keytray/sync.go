package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/cmd/setup"
	"github.com/keytray/keytray/disk"
	"github.com/keytray/keytray/export"
	"github.com/keytray/keytray/keeper"
	"github.com/keytray/keytray/outlet"
	"github.com/keytray/keytray/plain"
	"github.com/keytray/keytray/sink"
)

func (a *app) syncCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Keep files of other programs current with an access token",
		Long: `Keep files current that other programs read a token from. Each is written anew
after each renewal, whoever renews: the tray, "keytray watch", or a command. The
tray or "keytray watch" also mend a file that somebody changed. A file has an
access token and nothing that could renew it. "keytray status" shows how each is.`,
		Args: usage(cobra.NoArgs),
		RunE: help,
	}
	cmd.AddCommand(a.syncAddCommand(), a.syncListCommand(), a.syncRemoveCommand(), a.syncNowCommand())
	return cmd
}

func (a *app) syncAddCommand() *cobra.Command {
	var o outlet.Outlet
	var r sink.Request
	cmd := &cobra.Command{
		Use:   "add --format FORMAT --out FILE [PROVIDER|PROFILE]",
		Short: "Begin to keep a file current",
		Long: `Write an access token of the login to a file, and again after each renewal. Without
an argument the only login is meant; it stays that login, whatever comes first in
the order later.

In the files of codex, claude, pi and opencode only what belongs to the login is
written, under that program's own locks; the rest stays. Their formats are for the
program's own file, as in --format codex --out ~/.codex/auth.json. A file that has
a login of the program itself is left alone: keytray import moves that here.
Any other file must be new.`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.syncAdd(cmd.Context(), o, r, args) },
	}
	cmd.Flags().StringVar(&o.Format, "format", "", strings.Join(formatNames(), ", "))
	cmd.Flags().StringVar(&o.Path, "out", "", "the file")
	cmd.Flags().BoolVar(&o.CrossVendor, "allow-cross-vendor", false, "let a plan's token go to another vendor's tool")
	requestFlags(cmd, &r)
	return cmd
}

func (a *app) syncListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the files that are kept current, and how they are",
		Args:  usage(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			k, err := a.keeper(true)
			if err != nil {
				return err
			}
			all, unread := a.syncs(k, "")
			if asJSON {
				err = writeJSON(a.sys.stdout, syncList{1, all})
			} else {
				err = writeSyncs(a.sys.stdout, all)
			}
			return errors.Join(err, unread)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) syncRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "remove FILE",
		Short: "Keep a file current no more, and take the token out of it",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, some, err := a.outlets(args)
			if err != nil {
				return err
			}
			return list.Remove(cmd.Context(), some[0])
		},
	}
}

func (a *app) syncNowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "now [FILE...]",
		Short: "Write these files now, or all, whatever is due",
		RunE:  func(cmd *cobra.Command, args []string) error { return a.syncNow(cmd.Context(), args) },
	}
}

func (a *app) syncAdd(ctx context.Context, o outlet.Outlet, r sink.Request, args []string) error {
	if _, ok := export.Find(o.Format); !ok {
		return setup.Usage(fmt.Errorf("there is no format %q", o.Format), "say --format with one of "+strings.Join(formatNames(), ", "))
	}
	if err := a.complete(&r, args); err != nil {
		return err
	}
	k, err := a.keeper(false)
	if err != nil {
		return err
	}
	if o.Path, err = a.syncPath(k, o.Path); err != nil {
		return err
	}
	list, err := a.world.Outlets()
	if err != nil {
		return err
	}
	err = a.unlocking(ctx, func() error {
		if err := a.takeIn(ctx, k); err != nil {
			return err
		}
		x, err := a.resolve(ctx, k, r)
		if err != nil {
			return err
		}
		o.V, o.Root, o.Agent, o.Profile = 1, k.Store.Dir(), x.Profile.Agent, x.Profile.ID
		return list.Add(ctx, o, setup.Fetch(k))
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.sys.stderr, "%s has a token of %s and is kept current by the tray, `keytray watch`, and whoever renews\n", plain.Text(o.Path), plain.Text(o.Profile))
	return nil
}

func formatNames() []string {
	var names []string
	for _, s := range export.Formats() {
		names = append(names, s.Name)
	}
	return names
}

// syncPath is the file under the one name that it has for us.
func (a *app) syncPath(k *keeper.Keeper, path string) (string, error) {
	if path == "" {
		return "", setup.Usage(errors.New("no file is named"), "say --out FILE")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	path = filepath.Join(unlinked(filepath.Dir(path)), filepath.Base(path))
	own, err := a.world.Own()
	if err != nil {
		return "", err
	}
	for _, dir := range []string{own, k.Store.Dir()} {
		if within(path, dir) {
			return "", setup.Usage(fmt.Errorf("%s is in a folder of Keytray's own", path), "choose another place")
		}
	}
	return path, nil
}

// unlinked is a folder by a name without links, whether it is there or yet to be made.
func unlinked(dir string) string {
	straight, err := filepath.EvalSymlinks(dir)
	if err == nil {
		return straight
	}
	if parent := filepath.Dir(dir); parent != dir {
		return filepath.Join(unlinked(parent), filepath.Base(dir))
	}
	return dir
}

// within reports whether path lies in dir.
func within(path, dir string) bool {
	if d, err := filepath.EvalSymlinks(dir); err == nil {
		dir = d
	}
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// outlets are those of these files, or all; with an error beside those that can be
// read, if all are wanted.
func (a *app) outlets(paths []string) (outlet.List, []outlet.Outlet, error) {
	k, err := a.keeper(true)
	if err != nil {
		return outlet.List{}, nil, err
	}
	list, err := a.world.Outlets()
	if err != nil {
		return list, nil, err
	}
	all, err := list.All(k.Store.Dir())
	if len(paths) == 0 {
		return list, all, err
	}
	var some []outlet.Outlet
	for _, path := range paths {
		o, ok := find(all, path)
		if !ok {
			return list, nil, errors.Join(err, fmt.Errorf("%s: %w", path, outlet.ErrUnknown))
		}
		some = append(some, o)
	}
	return list, some, nil
}

func find(all []outlet.Outlet, path string) (outlet.Outlet, bool) {
	for _, o := range all {
		if full, err := filepath.Abs(path); err == nil && (full == o.Path || disk.SameFolder(filepath.Dir(full), filepath.Dir(o.Path)) && filepath.Base(full) == filepath.Base(o.Path)) {
			return o, true
		}
	}
	return outlet.Outlet{}, false
}

func (a *app) syncNow(ctx context.Context, paths []string) error {
	list, some, unread := a.outlets(paths)
	k, err := a.keeper(false)
	if err != nil {
		return err
	}
	return a.unlocking(ctx, func() error {
		errs := []error{unread}
		for _, o := range some {
			if err := list.Write(ctx, o, nil, setup.Fetch(k)); err != nil {
				errs = append(errs, fmt.Errorf("writing %s: %w", o.Path, err))
			}
		}
		return errors.Join(errs...)
	})
}

// supply writes the files that a login's change made due. The login is good,
// whatever comes of it: the status tells, and it is tried again.
func (a *app) supply(ctx context.Context, k *keeper.Keeper) {
	if err := a.world.Supply(ctx, k); err != nil && ctx.Err() == nil {
		a.sys.log.Warn("a file is not current", "err", setup.OneLine(err))
	}
}

// syncState is a file as people and programs are told of it.
type syncState struct {
	Path      string `json:"path"`
	Format    string `json:"format"`
	Agent     string `json:"agent"`
	ProfileID string `json:"profileId"`
	// State is ok, due, failing or signed_out.
	State      string `json:"state"`
	Generation uint64 `json:"generation,omitempty"`
	// WrittenAt and NextAt are in Unix milliseconds.
	WrittenAt int64  `json:"writtenAt,omitempty"`
	NextAt    int64  `json:"nextAt,omitempty"`
	Failures  int    `json:"failures,omitempty"`
	Error     string `json:"error,omitempty"`
}

type syncList struct {
	SchemaVersion int         `json:"schemaVersion"`
	Syncs         []syncState `json:"syncs"`
}

// syncs are the files for the logins of an agent, or of all, as they are.
func (a *app) syncs(k *keeper.Keeper, agent string) ([]syncState, error) {
	states := []syncState{}
	list, err := a.world.Outlets()
	if err != nil {
		return states, err
	}
	all, err := list.All(k.Store.Dir())
	for _, o := range all {
		if agent == "" || o.Agent == agent {
			states = append(states, syncStateOf(list, k.Store, o))
		}
	}
	return states, err
}

func syncStateOf(list outlet.List, store *sink.Store, o outlet.Outlet) syncState {
	last := list.Last(o)
	s := syncState{
		Path: o.Path, Format: o.Format, Agent: o.Agent, ProfileID: o.Profile, State: "ok",
		Generation: last.Generation, Failures: last.Failures, Error: last.Error,
	}
	if !last.At.IsZero() {
		s.WrittenAt = last.At.UnixMilli()
	}
	if !last.Next.IsZero() {
		s.NextAt = last.Next.UnixMilli()
	}
	switch {
	case last.Error != "":
		s.State = "failing"
	case setup.IsDue(list, store, o):
		s.State = "due"
	case last.SignedOut:
		s.State = "signed_out"
	}
	return s
}

// sentence says the state to a person.
func (s syncState) sentence() string {
	switch s.State {
	case "failing":
		return s.Error
	case "due":
		return "it is to be written; `keytray sync now` does so, and so does the tray"
	case "signed_out":
		return "the login is signed out, and the file has no token of it"
	default:
		return "written " + time.UnixMilli(s.WrittenAt).Local().Format(time.DateTime)
	}
}

func writeSyncs(w io.Writer, all []syncState) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no file is kept current")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FILE\tPROFILE\tFORMAT\tSTATE")
	for _, s := range all {
		profile := s.ProfileID
		if s.Agent != sink.DefaultAgent {
			profile += " of agent " + s.Agent
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s: %s\n", plain.Text(s.Path), plain.Text(profile), plain.Text(s.Format), s.State, plain.Text(s.sentence()))
	}
	return t.Flush()
}

// lookAtSyncs checks the files that are kept current.
func lookAtSyncs(ctx context.Context, v *visit) []finding {
	list, err := v.a.world.Outlets()
	if err != nil {
		return []finding{broken(err)}
	}
	all, err := list.All(v.k.Store.Dir())
	var found []finding
	if err != nil {
		found = append(found, broken(err))
	}
	for _, o := range all {
		if v.fix && v.closed == nil {
			_ = list.Write(ctx, o, nil, setup.Fetch(v.k)) // its state tells
		}
		s := syncStateOf(list, v.k.Store, o)
		switch s.State {
		case "failing":
			found = append(found, failed(cmp.Or(remedyOf(s), "keytray sync now "+s.Path), "%s is not current: %s", s.Path, s.Error))
		case "due":
			found = append(found, warning("keytray sync now", "%s is not current", s.Path))
		case "signed_out":
			found = append(found, warning("keytray sync remove "+s.Path, "%s is kept current for a login that is signed out", s.Path))
		default:
			found = append(found, fine("%s has the newest token of %s", s.Path, s.ProfileID))
		}
	}
	return found
}

// remedyOf is what helps a file that is not where it was.
func remedyOf(s syncState) string {
	if _, err := os.Stat(filepath.Dir(s.Path)); err != nil {
		return "keytray sync remove " + s.Path
	}
	return ""
}
