package keychain

func newStore(opts Options) store {
	return &loginKeychain{program: "/usr/bin/security", service: opts.Service}
}
