package main

import (
	"io"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/oauth/oauthtest"
)

var (
	readmeCall = regexp.MustCompile("`keytray ([^`]+)`")
	readmeFlag = regexp.MustCompile(`--([a-z-]+)( [a-z|\\]+)?`)
)

// TestReadmeCommandsExist finds every call that README.md and the documents for
// users quote in the tree of commands, with its flags and the words they may be
// given.
func TestReadmeCommandsExist(t *testing.T) {
	root := newApp(system{}).command()
	root.InitDefaultCompletionCmd()
	for name, least := range map[string]int{
		"README.md": 30, "docs/commands.md": 30, "docs/clients.md": 10, "docs/files.md": 2, "docs/openclaw.md": 3, "docs/providers.md": 10, "docs/servers.md": 1,
	} {
		text, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		calls := readmeCall.FindAllStringSubmatch(strings.ReplaceAll(string(text), "\n", " "), -1)
		if len(calls) < least {
			t.Errorf("%s quotes %d calls, want %d; or the pattern of this test is wrong", name, len(calls), least)
		}
		for _, call := range calls {
			checkReadmeCall(t, root, name, call[1])
		}
	}
}

func checkReadmeCall(t *testing.T, root *cobra.Command, name, call string) {
	t.Helper()
	words, _, _ := strings.Cut(call, " [")
	words, _, _ = strings.Cut(words, " --")
	cmd, args, err := root.Find(strings.Fields(words))
	if err != nil || slices.ContainsFunc(args, isName) {
		t.Errorf("%s: there is no command: keytray %s", name, call)
		return
	}
	for _, flag := range readmeFlag.FindAllStringSubmatch(call, -1) {
		checkReadmeFlag(t, cmd, flag[1], flag[2])
	}
}

// isName tells the name of a command from an argument's placeholder.
func isName(word string) bool { return word != strings.ToUpper(word) }

func checkReadmeFlag(t *testing.T, cmd *cobra.Command, name, words string) {
	t.Helper()
	f := cmd.Flag(name)
	if f == nil {
		t.Errorf("%s has no --%s", cmd.CommandPath(), name)
		return
	}
	for word := range strings.FieldsFuncSeq(words, func(r rune) bool { return strings.ContainsRune(` \|`, r) }) {
		if !strings.Contains(f.Usage, word) {
			t.Errorf("%s --%s takes %s, not %s", cmd.CommandPath(), name, f.Usage, word)
		}
	}
}

// TestProviderDocumentRuns runs the commands of docs/providers.md, with a server
// of ours in place of the one that they name.
func TestProviderDocumentRuns(t *testing.T) {
	text, err := os.ReadFile("../../docs/providers.md")
	if err != nil {
		t.Fatal(err)
	}
	server := oauthtest.New(oauthtest.Options{})
	if err := server.Start(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	environ, ran := []string{"HOME=" + t.TempDir()}, 0
	for line := range strings.Lines(string(text)) {
		call, ok := strings.CutPrefix(strings.TrimSpace(line), "keytray providers ")
		if !ok || !strings.HasPrefix(line, "    ") {
			continue
		}
		ran++
		if strings.HasPrefix(call, "add ") {
			call = strings.ReplaceAll(call, "https://login.acme.example", server.URL) + " --allow-http-loopback"
		}
		var stderr strings.Builder
		code := run(t.Context(), system{
			args: append([]string{"providers"}, strings.Fields(call)...), environ: environ,
			stdin: strings.NewReader(""), stdout: io.Discard, stderr: &stderr, log: slog.New(slog.DiscardHandler),
		})
		if code != 0 {
			t.Errorf("keytray providers %s: exit %d, %s", call, code, &stderr)
		}
	}
	if ran < 4 {
		t.Errorf("ran %d commands; the pattern of this test is wrong", ran)
	}
}
