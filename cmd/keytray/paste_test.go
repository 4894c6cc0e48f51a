package main

import (
	"testing"
	"time"
)

func TestParseLife(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for in, want := range map[string]time.Duration{
		"": 0, "365d": 365 * day, "12h": 12 * time.Hour, "30": 30 * day, "90m": 90 * time.Minute, "5s": 5 * time.Second, "36500d": 36500 * day,
		"0": -1, "-1d": -1, "d": -1, "1y": -1, "1.5d": -1, " 1d": -1, "36501d": -1, "9223372036854775807": -1, "99999999999999999999s": -1,
	} {
		got, err := parseLife(in)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("parseLife(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
}
