//go:build !unix || comm_portable

package sse

import "net"

// awaitClose returns when the connection has ended, nil for an orderly end.
func awaitClose(conn net.Conn, allowed int) error { return awaitRead(conn, allowed) }
