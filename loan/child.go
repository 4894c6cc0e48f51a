package loan

import "os"

// Child is a program to be run in our place: it has our terminal, our standard
// streams and our group of processes.
type Child struct {
	// Path is the program, Args all its arguments, from its name on.
	Path string
	Args []string
	Env  []string
	// Stdin, Stdout and Stderr may be nil.
	Stdin, Stdout, Stderr *os.File
}
