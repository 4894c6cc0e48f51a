package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var (
	readmeCall = regexp.MustCompile("`keytray ([^`]+)`")
	readmeFlag = regexp.MustCompile(`--([a-z-]+)( [a-z|\\]+)?`)
)

// TestReadmeCommandsExist finds every call that README.md quotes in the tree of
// commands, with its flags and the words they may be given.
func TestReadmeCommandsExist(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	calls := readmeCall.FindAllStringSubmatch(string(text), -1)
	if len(calls) < 10 {
		t.Errorf("README.md quotes %d calls; the pattern of this test is wrong", len(calls))
	}
	root := newApp(system{}).command()
	root.InitDefaultCompletionCmd()
	for _, call := range calls {
		words, _, _ := strings.Cut(call[1], " [")
		words, _, _ = strings.Cut(words, " --")
		cmd, args, err := root.Find(strings.Fields(words))
		if err != nil || slices.ContainsFunc(args, isName) {
			t.Errorf("there is no command: keytray %s", call[1])
			continue
		}
		for _, flag := range readmeFlag.FindAllStringSubmatch(call[1], -1) {
			checkReadmeFlag(t, cmd, flag[1], flag[2])
		}
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
