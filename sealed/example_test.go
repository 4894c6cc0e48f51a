package sealed_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/keytray/keytray/sealed"
	"github.com/keytray/keytray/secret"
)

func ExampleBundle_Seal() {
	theirs, err := sealed.NewKey() // on the machine that is to get it
	if err != nil {
		panic(err)
	}
	to, err := sealed.ParseAddress([]string{theirs.Public()})
	if err != nil {
		panic(err)
	}
	now := time.Now()
	text, err := sealed.Bundle{
		ID: rand.Text(), From: "laptop", Made: now, NotAfter: now.Add(time.Hour),
		Logins: []sealed.Login{{Profile: "acme:ada", Provider: "acme", Kind: "api_key", Access: secret.New("ak-1")}},
	}.Seal(to)
	if err != nil {
		panic(err)
	}
	b, err := sealed.Open(text, theirs.Keys(), now)
	fmt.Println(b.From, b.Logins[0].Profile, b.Logins[0].Access, err)
	_, err = sealed.Open(text, theirs.Keys(), now.Add(2*time.Hour))
	fmt.Println(errors.Is(err, sealed.ErrExpired))
	// Output:
	// laptop acme:ada [redacted] <nil>
	// true
}
