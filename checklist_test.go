package keytray_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"
)

// requirements are how many there are of each kind in docs/security-checklist.md.
var requirements = []struct {
	kind string
	n    int
}{
	{"A", 12},
	{"B", 14},
	{"C", 15},
	{"D", 6},
	{"E", 6},
	{"F", 10},
	{"G", 10},
	{"H", 12},
	{"I", 11},
	{"J", 11},
	{"K", 6},
	{"L", 3},
	{"M", 16},
	{"N", 14},
	{"O", 10},
	{"P", 4},
}

const demands = 24 // of the RFCs

func TestSecurityChecklistIsShown(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/security-checklist.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range checkChecklist(string(text), testNames(t, os.DirFS("."))) {
		t.Error(finding)
	}
}

// TestSecurityChecklistCheckCanFail breaks the document in each way that counts.
func TestSecurityChecklistCheckCanFail(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("docs/security-checklist.md")
	if err != nil {
		t.Fatal(err)
	}
	text, names := string(b), testNames(t, os.DirFS("."))
	for what, broken := range map[string]string{
		"a requirement less":       without(text, "| B3 |"),
		"a demand less":            without(text, "| 7636 §4.2 |"),
		"a test that is not there": strings.Replace(text, "`oauth.TestReplay`", "`oauth.TestThatIsNotThere`", 1),
		"a reason that is none":    strings.Replace(text, "`oauth.TestReplay`", "later", 1),
		"a demand with a reason":   strings.Replace(text, "| `oauth.TestChallenge`, `oauth.TestCodexURL` |", "| not met: why should it |", 1),
	} {
		if broken == text {
			t.Errorf("%s: nothing was broken", what)
		}
		if len(checkChecklist(broken, names)) == 0 {
			t.Errorf("%s: not found", what)
		}
	}
}

var (
	requirementID = regexp.MustCompile(`^[A-P][0-9]+$`)
	demandID      = regexp.MustCompile(`^(8252|7636|9700) §`)
	excuse        = regexp.MustCompile(`^(not met|not shown|does not apply): .`)
)

// checkChecklist compares the tables of docs/security-checklist.md with what there
// has to be and with the tests that there are.
func checkChecklist(text string, tests map[string]bool) (findings []string) {
	known := maps.Clone(tests)
	for name := range tests { // of this package, whose folder has no name
		if rest, ok := strings.CutPrefix(name, ".."); ok {
			known["module."+rest] = true
		}
	}
	seen, demanded := map[string]bool{}, 0
	for _, row := range tableRows(text, 3) {
		isDemand := demandID.MatchString(row[0])
		switch {
		case isDemand:
			demanded++
		case requirementID.MatchString(row[0]):
			if seen[row[0]] {
				findings = append(findings, row[0]+": is there twice")
			}
			seen[row[0]] = true
		default:
			continue
		}
		named := namedTest.FindAllStringSubmatch(row[2], -1)
		for _, m := range named {
			if !known[m[1]] {
				findings = append(findings, row[0]+": there is no "+m[1])
			}
		}
		if excused := excuse.MatchString(row[2]); named == nil && (!excused || isDemand) {
			findings = append(findings, row[0]+": neither a test nor a reason: "+row[2])
		}
	}
	total := 0
	for _, r := range requirements {
		total += r.n
		for i := range r.n {
			if id := fmt.Sprintf("%s%d", r.kind, i+1); !seen[id] {
				findings = append(findings, id+": is not there")
			}
		}
	}
	if len(seen) != total || demanded != demands {
		findings = append(findings, fmt.Sprintf("%d requirements and %d demands, want %d and %d", len(seen), demanded, total, demands))
	}
	return findings
}
