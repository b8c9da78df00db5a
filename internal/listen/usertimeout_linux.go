package listen

import (
	"net"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of <linux/tcp.h>, which package syscall lacks.
const tcpUserTimeout = 18

// setUserTimeout ends a connection whose peer has acknowledged nothing of what was sent for d (RFC 5482):
// a peer that is gone without a word, whose bytes would otherwise be sent again for a quarter of an hour.
// It is set on each connection, for one of a listener for Multipath TCP does not inherit it.
func setUserTimeout(c net.Conn, d time.Duration) {
	tc, ok := c.(*net.TCPConn)
	if !ok || d <= 0 {
		return
	}
	raw, err := tc.SyscallConn()
	if err != nil {
		return
	}
	// A system that cannot keeps its own timeout.
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(d.Milliseconds()))
	})
}
