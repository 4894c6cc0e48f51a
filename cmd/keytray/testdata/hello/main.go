// Command hello is a Go program that does nothing: the floor beneath all others.
package main

func main() { println("hello") }
