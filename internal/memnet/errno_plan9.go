package memnet

import "syscall"

// Plan 9 has texts in the place of numbers, and none for these.
const (
	errRefused      = syscall.ErrorString("connection refused")
	errInUse        = syscall.ErrorString("address in use")
	errNotAvailable = syscall.ErrorString("address not available")
	errBroken       = syscall.ErrorString("broken pipe")
	errNoAddress    = syscall.ErrorString("destination address required")
	errTooLong      = syscall.ErrorString("message too long")
)
