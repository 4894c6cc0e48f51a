package openclaw

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	protocol     = 1
	requestLimit = 256 << 10
	idLimit      = 512
)

// ErrRequest is a request that is not understood.
var ErrRequest = errors.New("not a request of OpenClaw's")

// ReadRequest reads which secrets OpenClaw wants, in its exec protocol, version 1.
func ReadRequest(r io.Reader) (ids []string, err error) {
	b, err := io.ReadAll(io.LimitReader(r, requestLimit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	var q struct {
		ProtocolVersion int
		IDs             []string
	}
	switch err := json.Unmarshal(b, &q); {
	case len(b) > requestLimit:
		return nil, fmt.Errorf("%w: it is larger than %d bytes", ErrRequest, requestLimit)
	case err != nil:
		return nil, fmt.Errorf("%w: it is not JSON of the right form", ErrRequest)
	case q.ProtocolVersion != protocol:
		return nil, fmt.Errorf("%w: protocol version %d, and only %d is known", ErrRequest, q.ProtocolVersion, protocol)
	case len(q.IDs) > idLimit:
		return nil, fmt.Errorf("%w: more than %d ids", ErrRequest, idLimit)
	}
	return q.IDs, nil
}
