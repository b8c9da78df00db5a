//go:build !linux || 386 || comm_portable

package ws_test

import "testing"

func testReadBuffer(t *testing.T) {
	t.Skip("counting another end's reads needs TCP_INFO of Linux, and direct I/O")
}

func testWriteBuffer(t *testing.T) { t.Skip("counting another end's writes needs TCP_INFO of Linux") }
