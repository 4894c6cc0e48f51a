package setup

import "errors"

// ErrReplaced is why a resident program ends for another version of it.
var ErrReplaced = errors.New("the installer makes room for another version")
