package sink

import "github.com/keytray/keytray/machine"

// ClaimJournal rewrites an encoded journal as the work of process pid.
func ClaimJournal(b []byte, pid int) ([]byte, error) {
	j, err := decodeJournal(b)
	if err != nil {
		return nil, err
	}
	of := machine.Of(pid)
	j.Process.PID, j.Process.Start = of.PID, of.Start
	return j.encode(), nil
}
