package keychain

// unfinishedError is a write that was still running when its time was over.
type unfinishedError struct {
	// done is closed when the call has returned after all; nil if nobody will know.
	done  <-chan struct{}
	cause error
}

func (e *unfinishedError) Error() string { return ErrWedged.Error() + ": " + e.cause.Error() }

func (e *unfinishedError) Unwrap() []error { return []error{ErrWedged, e.cause} }

// over reports whether the call has returned in the meantime.
func (e *unfinishedError) over() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}
