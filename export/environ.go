package export

// Environ is Vars as a child's environment has them, NAME=value. It is for nothing
// else: programs of the same user can read it.
func (s Spec) Environ(it Item) ([]string, error) {
	vars, err := s.Vars(it)
	var environ []string
	for _, v := range vars {
		environ = append(environ, v.Name+"="+v.Value.Reveal())
	}
	return environ, err
}
