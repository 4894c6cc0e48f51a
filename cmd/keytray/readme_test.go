package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/keytray/keytray/export"
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
		"README.md": 15, "docs/clients.md": 10, "docs/commands.md": 30, "docs/contributing.md": 2, "docs/files.md": 2, "docs/keyrings.md": 4,
		"docs/openclaw.md": 15, "docs/providers.md": 10, "docs/servers.md": 1, "docs/threat-model.md": 5, "docs/troubleshooting.md": 40,
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

// TestCommandsAreDocumented looks for each command in docs/commands.md: with its
// whole path, or alone where a row begins with another of its group.
func TestCommandsAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	text, found := string(b), 0
	var look func(*cobra.Command)
	look = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			look(sub)
		}
		if c.Hidden || c.HasSubCommands() || c.Name() == "help" {
			return
		}
		found++
		if !strings.Contains(text, c.CommandPath()) && !regexp.MustCompile("`"+c.Name()+"[ `]").MatchString(text) {
			t.Errorf("docs/commands.md does not have %s", c.CommandPath())
		}
	}
	look(newApp(system{}).command())
	if found < 40 {
		t.Errorf("found %d commands; this test looks in the wrong place", found)
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

// TestHelpNamesEachFormat: a person who reads the help of export learns what each
// format is for.
func TestHelpNamesEachFormat(t *testing.T) {
	words := regexp.MustCompile(`[a-z-]+`).FindAllString(newApp(system{}).exportCommand().Long, -1)
	for _, s := range export.Formats() {
		if !slices.Contains(words, s.Name) {
			t.Errorf("the help of keytray export (token.go) does not say what %s is", s.Name)
		}
	}
}
