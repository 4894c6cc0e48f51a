package sink

// ClaimJournal rewrites an encoded journal as the work of process pid.
func ClaimJournal(b []byte, pid int) ([]byte, error) {
	j, err := decodeJournal(b)
	if err != nil {
		return nil, err
	}
	j.Process.PID = pid
	j.Process.Start = startTimeOf(pid)
	return j.encode(), nil
}
