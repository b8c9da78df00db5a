// Package rawconn finds the socket below a connection, to read and to write it without waiting. Where the portable
// build tag is set, and on systems other than Unix, there is none to be found.
package rawconn

import (
	"errors"
	"net"
)

// Conn is the part of syscall.RawConn used here.
type Conn interface {
	Read(f func(fd uintptr) (done bool)) error
	Write(f func(fd uintptr) (done bool)) error
	Control(f func(fd uintptr)) error
}

// ErrAgain says that there is nothing to read now.
var ErrAgain = errors.New("rawconn: nothing to read")

// bare is implemented by a wrapper that lets reads and writes go directly to the connection beneath it when ok is
// true. Deadlines and Close still go through the wrapper.
type bare interface {
	BareConn() (c net.Conn, ok bool)
}

// below returns what c's bytes go through as they are, nil if c itself has a part in them.
func below(c any) any {
	for {
		b, ok := c.(bare)
		if !ok {
			return c
		}
		if c, ok = b.BareConn(); !ok {
			return nil
		}
	}
}
