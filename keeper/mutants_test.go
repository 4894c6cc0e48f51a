package keeper_test

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var mutate = flag.Bool("mutants", false, "run the simulation on each mutant of the engine")

// A mutant is the engine with one of its guards taken out, by replacing text in
// one file. The text must be there, or the list has grown old.
type mutant struct {
	name string
	file string
	swap []string // old, new, old, new, ...
}

var mutants = []mutant{
	{"no lock", "sink/lock.go", []string{"unlock, err := s.locker.TryLock(path)\n", "unlock, err := func() {}, error(nil)\n"}},
	{"no re-check", "keeper/refresh.go", []string{"tx.Generation() > d.beyond && c.Fresh(", "d.beyond > 1<<40 && c.Fresh("}},
	{"single slot", "sink/key.go", []string{`key + ".slot." + parity(g)`, `key + ".slot.0"`}},
	{"no intent", "sink/update.go", []string{"if err := tx.journal.intend(j); err != nil {", "if err := tx.s.disk.Reserve(tx.journal.next(), journalSize); err != nil {"}},
	{"no journal", "sink/update.go", []string{"tx.journalled = tx.journalAnswer(next) == nil", "tx.journalled = true"}},
	{"journal ignored by a peer", "sink/recover.go", []string{"return tx.finishReceived(ctx, *j)", "return nil"}},
	{"eager resend on strict", "keeper/due.go", []string{"if left > lastMinute && !asked {", "if false {"}},
	{"mirror before commit", "sink/update.go", []string{
		"	saveErr := tx.save(ctx, *tx.next)\n",
		"	was := tx.cur\n	tx.cur = tx.next\n	_ = tx.writeMirror(ctx)\n	tx.cur = was\n	saveErr := tx.save(ctx, *tx.next)\n",
	}},
	{"no read-back", "keeper/simworld_test.go", []string{"		return errKeychain // silence is found out by reading back", "		if f == silentNot {\n			return nil\n		}\n		return errKeychain"}},
	{"no barrier", "sink/recover.go", []string{"if err := tx.s.secrets.Barrier(ctx); err != nil {", "if err := ctx.Err(); err != nil {"}},
	{"refresh token taken after validation", "keeper/refresh.go", []string{"if err == nil || !t.Refresh.Empty() {", "if err == nil {"}},
	{"key without agent", "sink/key.go", []string{`rootID + "\x00" + agent + "\x00" + id`, `rootID + "\x00" + id`}},
	{"lock given up without journal or keychain", "sink/update.go", []string{"mayGiveUp := tx.journalled || !tx.sent", "mayGiveUp := true"}},
	{"wall clock alone", "sink/life.go", []string{"return max(passed, m.Up-before.Up)", "return passed"}},
	{"missing access token spared", "keeper/refresh.go", []string{"if c.Access.Empty() { // nothing", "if false { // nothing"}},
	{"unsaved answer spent", "sink/update.go", []string{"if tx.unsaved {\n		return ErrNotSaved\n	}\n	now", "now"}},
}

var caught = regexp.MustCompile(`simulation_test\.go:\d+: (.*)`)

// TestMutants proves that the simulation would notice: each mutant must make it
// fail. It prints which run caught it.
func TestMutants(t *testing.T) {
	if !*mutate {
		t.Skip("takes minutes; run with: make mutants")
	}
	top, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			overlay := m.overlay(t, top)
			cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-run", "Simulation", "-timeout", "5m", "./keeper", "-sim.runs", "3000")
			cmd.Dir = top
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("%s: the simulation does not notice", m.name)
			}
			by := caught.FindSubmatch(out)
			if by == nil {
				t.Fatalf("%s: the simulation did not run: %.300s", m.name, out)
			}
			t.Logf("%-45s caught by %.150s", m.name, by[1])
		})
	}
}

// overlay writes the changed file and the list that makes the go command take
// it for the real one.
func (m mutant) overlay(t *testing.T, top string) string {
	t.Helper()
	path := filepath.Join(top, m.file)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(m.swap); i += 2 {
		if !strings.Contains(text, m.swap[i]) {
			t.Fatalf("%s does not contain %q any more", m.file, m.swap[i])
		}
		text = strings.ReplaceAll(text, m.swap[i], m.swap[i+1])
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, filepath.Base(m.file))
	if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}
