package export

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"sync"
	"time"
)

// ErrNotAWS is a secret that is no credential of AWS.
var ErrNotAWS = errors.New("not a credential of AWS")

// awsKey is a credential as AWS's own programs print it, of credential_process as
// well as of `aws sts`.
type awsKey struct {
	Version      int    `json:"Version"`
	ID           string `json:"AccessKeyId"`
	Secret       string `json:"SecretAccessKey"`
	SessionToken string `json:"SessionToken,omitempty"`
	// Expires is RFC 3339; without it a program asks once.
	Expires string `json:"Expiration,omitempty"`
}

var awsID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Z0-9]+$`) })

// AWS is what a credential_process prints
// (https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html).
//
// No OAuth token is such a credential. It is for a login whose pasted secret is
// one: AKIA…:SECRET, ASIA…:SECRET:SESSION, or the JSON in which `aws sts` prints it.
// It is handed out as it is: nothing renews it.
func AWS() Spec {
	return Spec{Name: "aws", text: func(it Item) ([]byte, error) {
		k, err := parseAWS(it.Access.Reveal())
		if err != nil {
			return nil, err
		}
		if k.Expires == "" {
			k.Expires = stamp(it.Expires, time.RFC3339)
		}
		return encode(k, "")
	}}
}

// parseAWS reads a pasted credential.
func parseAWS(s string) (awsKey, error) {
	var k awsKey
	if strings.HasPrefix(s, "{") {
		var outer struct {
			awsKey
			Credentials *awsKey
		}
		if json.Unmarshal([]byte(s), &outer) != nil {
			return awsKey{}, ErrNotAWS // its own error would repeat a piece of it
		}
		k = outer.awsKey
		if outer.Credentials != nil {
			k = *outer.Credentials
		}
	} else {
		k.ID, k.Secret, _ = strings.Cut(s, ":")
		k.Secret, k.SessionToken, _ = strings.Cut(k.Secret, ":")
	}
	k.Version = 1
	if _, err := time.Parse(time.RFC3339, k.Expires); err != nil && k.Expires != "" {
		return awsKey{}, ErrNotAWS
	}
	temporary := strings.HasPrefix(k.ID, "ASIA")
	if len(k.ID) < 16 || len(k.ID) > 128 || !awsID().MatchString(k.ID) || k.Secret == "" || temporary && k.SessionToken == "" {
		return awsKey{}, ErrNotAWS
	}
	return k, nil
}
