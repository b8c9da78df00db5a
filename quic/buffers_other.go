//go:build !linux

package commquic

import "syscall"

// bufferSizes does not know: only on Linux is there a setting to name.
func bufferSizes(syscall.Conn) (receive, send int, ok bool) { return 0, 0, false }
