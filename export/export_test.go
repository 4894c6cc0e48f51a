package export_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/keytray/keytray/export"
	"github.com/keytray/keytray/secret"
)

var update = flag.Bool("update", false, "write the golden files anew")

func item() export.Item {
	return export.Item{
		Profile: "acme:alice@example.org", Provider: "acme-2", Access: secret.New("a'b<$(id)>\"\\c"),
		Expires: time.Date(2026, 11, 23, 4, 5, 6, 0, time.FixedZone("", 3600)),
	}
}

func TestFormatsAreAsRecorded(t *testing.T) {
	for name, format := range export.Formats() {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			if err := format(&got, item()); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s = %q, want %q", name, got.Bytes(), want)
			}
		})
	}
}

func TestOpenClawHasAnAnswerToEachID(t *testing.T) {
	a := export.Answer{
		Values: map[string]secret.Text{"p/b": secret.New("a<b>&\"c"), "p/a": secret.New("t")},
		Errors: map[string]export.Refusal{"p/c": {Code: "NOT_FOUND", Message: "no such login"}},
	}
	for want, a := range map[string]export.Answer{
		`{"protocolVersion":1,"values":{"p/a":"t","p/b":"a<b>&\"c"},"errors":{"p/c":{"code":"NOT_FOUND","message":"no such login"}}}` + "\n": a,
		`{"protocolVersion":1,"values":{}}` + "\n": {}, // OpenClaw wants values, even none
	} {
		var got bytes.Buffer
		if err := export.OpenClaw(&got, a); err != nil || got.String() != want {
			t.Errorf("OpenClaw = %s, %v; want %s", got.Bytes(), err, want)
		}
	}
}

// What a shell evaluates is the token, whatever is in it.
func TestAShellReadsWhatEnvWrites(t *testing.T) {
	for _, token := range []string{"plain", "a'b", "$(touch x)`id`", `back\slash`, "a\"b", "''", "tab\tand space"} {
		var line bytes.Buffer
		it := item()
		it.Access = secret.New(token)
		if err := export.Env(&line, it); err != nil {
			t.Fatal(err)
		}
		sh := exec.CommandContext(t.Context(), "sh", "-c", line.String()+`printf %s "$ACME_2_TOKEN"`)
		got, err := sh.Output()
		if err != nil || string(got) != token {
			t.Errorf("sh reads %q, %v, want %q", got, err, token)
		}
	}
}

func TestVariableNames(t *testing.T) {
	for id, want := range map[string]string{"openai-codex": "OPENAI_CODEX_TOKEN", "a.b": "A_B_TOKEN", "1x": "_1X_TOKEN", "": "__TOKEN"} {
		if got := export.Variable(id); got != want {
			t.Errorf("Variable(%q) = %q, want %q", id, got, want)
		}
	}
}
