//go:build unix && !comm_portable

package rawconn

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// Under returns the socket that c's bytes go through as they are, nil if there is none.
func Under(c any) Conn {
	sys, err := syscall.RawConn(nil), error(nil)
	switch c := below(c).(type) { // not any syscall.Conn: a wrapper may have promoted the method
	case *net.TCPConn:
		sys, err = c.SyscallConn()
	case *net.UnixConn:
		sys, err = c.SyscallConn()
	}
	if err != nil || sys == nil {
		return nil
	}
	return sys
}

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

// UnderTLS returns the socket that c's TLS is spoken on, nil if there is none.
func UnderTLS(c any) Conn {
	if t, ok := below(c).(*tls.Conn); ok {
		return Under(t.NetConn())
	}
	return nil
}

// call is one Read or Write. Its callbacks make their system calls and return: Close waits for them to end, so a lock
// or user code in them could wait for ever.
type call struct {
	reading, writing func(fd uintptr) bool // read and write, stored: a method value costs an allocation
	p                []byte                // to be read into, or what is left to write
	n                int
	err              error
}

var calls = sync.Pool{New: func() any {
	c := new(call)
	c.reading, c.writing = c.read, c.write
	return c
}}

func (c *call) free() {
	c.p, c.n, c.err = nil, 0, nil
	calls.Put(c)
}

// Read reads what is there into p, which is not empty. Its error is ErrAgain if there is nothing now, io.EOF at the
// end, net.ErrClosed once the connection is closed on this side, and os.ErrDeadlineExceeded where a read deadline
// that was set has passed.
func Read(sys Conn, p []byte) (int, error) {
	c := calls.Get().(*call)
	defer c.free()
	c.p = p
	if err := sys.Read(c.reading); err != nil {
		return 0, err
	}
	switch {
	case c.err == syscall.EAGAIN:
		return 0, ErrAgain
	case c.err != nil:
		return 0, os.NewSyscallError("read", c.err)
	case c.n == 0:
		return 0, io.EOF
	}
	return c.n, nil
}

func (c *call) read(fd uintptr) bool {
	c.n, c.err = syscall.Read(int(fd), c.p)
	for c.err == syscall.EINTR {
		c.n, c.err = syscall.Read(int(fd), c.p)
	}
	return true
}

// maxWrite is what every system takes in one call.
const maxWrite = 1 << 30

// Write writes as much of p as the socket takes without waiting, which is no error if it is less than all. A write
// deadline that has passed is os.ErrDeadlineExceeded, and nothing is written.
func Write(sys Conn, p []byte) (int, error) {
	c := calls.Get().(*call)
	defer c.free()
	c.p = p
	if err := sys.Write(c.writing); err != nil {
		return 0, err
	}
	if c.err != nil {
		return len(p) - len(c.p), os.NewSyscallError("write", c.err)
	}
	return len(p) - len(c.p), nil
}

// write is never called again, because what would have to wait is the caller's. A socket that takes less than it is
// given takes nothing more now.
func (c *call) write(fd uintptr) bool {
	for len(c.p) > 0 {
		p := c.p[:min(len(c.p), maxWrite)]
		n, err := syscall.Write(int(fd), p)
		if err == syscall.EINTR {
			continue
		}
		c.p = c.p[max(n, 0):]
		if err != nil && err != syscall.EAGAIN {
			c.err = err
		}
		if n < len(p) {
			return true
		}
	}
	return true
}
