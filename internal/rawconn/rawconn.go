// Package rawconn finds the socket below a connection, to read and to write it without waiting. Where the portable
// build tag is set, and on systems other than Unix, there is none to be found.
package rawconn

import "errors"

// Conn is the part of syscall.RawConn used here.
type Conn interface {
	Read(f func(fd uintptr) (done bool)) error
	Write(f func(fd uintptr) (done bool)) error
	Control(f func(fd uintptr)) error
}

// ErrAgain says that there is nothing to read now.
var ErrAgain = errors.New("rawconn: nothing to read")
