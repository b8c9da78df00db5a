package sse

import (
	"errors"
	"io"
	"net"
)

// awaitRead waits by reading into a small buffer. It serves TLS, in-memory connections and the systems
// that have no other way.
func awaitRead(conn net.Conn, allowed int) error {
	buf := make([]byte, 64)
	for idle := 0; idle < 100; {
		n, err := conn.Read(buf)
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		if allowed -= n; allowed < 0 {
			return errStray
		}
		if n > 0 {
			idle = 0
		} else {
			idle++
		}
	}
	return io.ErrNoProgress
}
