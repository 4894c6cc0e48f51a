package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/keytray/keytray/cmd/setup"
)

// BenchmarkLogins runs what must stay linear in the number of logins: from 10 to
// 10,000 of them, all of one provider, with a usage each.
func BenchmarkLogins(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10_000} {
		root := manyLogins(b, n)
		for _, args := range []string{"status --json", "which acme --json", "which acme:" + strconv.Itoa(n-1), "models auth order get --provider acme"} {
			name := strings.Fields(strings.TrimPrefix(args, "models auth "))[0]
			if strings.Contains(args, ":") {
				name += "-named"
			}
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					sys := system{
						args: append(strings.Fields(args), "--state-dir", root), environ: []string{"HOME=" + root},
						stdin: strings.NewReader(""), stdout: io.Discard, stderr: os.Stderr, log: slog.New(slog.DiscardHandler),
					}
					if code := run(b.Context(), sys); code != setup.ExitDone {
						b.Fatalf("keytray %s: exit code %d", args, code)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/login")
			})
		}
	}
}

// manyLogins is a state root with n logins in its profile file.
func manyLogins(b *testing.B, n int) (root string) {
	b.Helper()
	root = b.TempDir()
	dir := filepath.Join(root, "agents", "main", "agent")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		b.Fatal(err)
	}
	var profiles, usage []string
	for i := range n {
		profiles = append(profiles, fmt.Sprintf(`"acme:%d": {"type": "token", "provider": "acme", "tokenRef": {"source": "exec", "provider": "keytray", "id": "p/%d"},
			"expires": 1895400000000, "email": "user%d@example.org", "keytray": {"v": 1, "root": "%032x", "place": %q, "key": "%064x", "generation": 3, "kind": "oauth",
			"account": "acct-%d", "minted": 1795400000000, "expires": 1895400000000, "state": "ok", "fp": "00"}}`, i, i, i, 1, root, i, i))
		usage = append(usage, fmt.Sprintf(`"acme:%d": {"lastUsed": %d, "errorCount": 1, "failureCounts": {"timeout": 1}}`, i, 1795400000000+(i*7919)%n))
	}
	for name, text := range map[string]string{
		"auth-profiles.json": `{"version": 1, "profiles": {` + strings.Join(profiles, ",\n") + `}}`,
		"auth.json":          `{"version": 1, "owner": "keytray", "usageStats": {` + strings.Join(usage, ",\n") + `}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return root
}
