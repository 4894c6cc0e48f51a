//go:build !windows

package setup

import "context"

// Resident gives ctx: here a program's file can be replaced while it runs.
func Resident(ctx context.Context, _ string) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}
