package sink_test

import "errors"

func mkfifo(string) error { return errors.ErrUnsupported }

func setUmask(int) (restore func()) { return func() {} }
