//go:build !linux

package sink

func startTimeOf(int) uint64 { return 0 }
