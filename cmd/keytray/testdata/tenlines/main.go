// Command tenlines is the least program that reads a secret with go-keyring:
// what `keytray token` is measured against.
package main

import "github.com/zalando/go-keyring"

func main() {
	secret, err := keyring.Get("bench", "item")
	if err != nil {
		panic(err)
	}
	println(len(secret))
}
