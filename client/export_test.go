package client

// Short is how a login's name stands in the name of a file.
func Short(name string) string { return short(name) }

// LockPaths are the locks that a login's owner takes, in its order.
func (s Source) LockPaths(name string) ([]string, error) {
	f, err := s.form()
	if err != nil {
		return nil, err
	}
	l, err := s.find(name)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, k := range f.locks(s, l) {
		paths = append(paths, k.String())
	}
	return paths, nil
}
