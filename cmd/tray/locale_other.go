//go:build !linux && !windows

package main

// systemLocale is for systems that keep it elsewhere than in the environment.
func systemLocale() string { return "" }
