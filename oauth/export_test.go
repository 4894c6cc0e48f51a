package oauth

// TestOnlyTransport is the zero Client's transport with another proxy.
var TestOnlyTransport = newTransport
