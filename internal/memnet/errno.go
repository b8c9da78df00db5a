//go:build !plan9

package memnet

import "syscall"

// The errors of the system's own network, so that callers who look for them find them here too.
const (
	errRefused      = syscall.ECONNREFUSED
	errInUse        = syscall.EADDRINUSE
	errNotAvailable = syscall.EADDRNOTAVAIL
	errBroken       = syscall.EPIPE
	errNoAddress    = syscall.EDESTADDRREQ
	errTooLong      = syscall.EMSGSIZE
)
