package export

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrKubeRequest is a request that is not understood.
var ErrKubeRequest = errors.New("not a request of Kubernetes'")

const (
	kubeGroup = "client.authentication.k8s.io/"
	kubeKind  = "ExecCredential"
	kubeLimit = 1 << 20
)

// ReadKube reads KUBERNETES_EXEC_INFO, in which kubectl says what it asks and in
// which version of the API
// (https://kubernetes.io/docs/reference/config-api/client-authentication.v1/). A
// person who tries the helper has none; then it is v1.
func ReadKube(info string) (version string, err error) {
	if info == "" {
		return kubeGroup + "v1", nil
	}
	if len(info) > kubeLimit {
		return "", fmt.Errorf("%w: it is too long", ErrKubeRequest)
	}
	var q struct {
		Version string `json:"apiVersion"`
		Kind    string `json:"kind"`
	}
	switch err := json.Unmarshal([]byte(info), &q); {
	case err != nil:
		return "", fmt.Errorf("%w: KUBERNETES_EXEC_INFO is not JSON of the right form", ErrKubeRequest)
	case q.Kind != kubeKind:
		return "", fmt.Errorf("%w: KUBERNETES_EXEC_INFO is no %s", ErrKubeRequest, kubeKind)
	case !slices.Contains([]string{kubeGroup + "v1", kubeGroup + "v1beta1"}, q.Version):
		return "", fmt.Errorf("%w: only %sv1 and v1beta1 are known", ErrKubeRequest, kubeGroup)
	}
	return q.Version, nil
}

// Kube is an ExecCredential of that version with a bearer token, which kubectl
// keeps in memory until the token ends or is refused.
func Kube(version string) Spec {
	return Spec{Name: "kube", text: func(it Item) ([]byte, error) {
		type status struct {
			Expires string `json:"expirationTimestamp,omitempty"`
			Token   string `json:"token"`
		}
		return encode(struct {
			Version string `json:"apiVersion"`
			Kind    string `json:"kind"`
			Status  status `json:"status"`
		}{version, kubeKind, status{stamp(it.Expires, time.RFC3339), it.Access.Reveal()}}, "")
	}}
}
