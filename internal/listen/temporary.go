//go:build !plan9

package listen

import (
	"os"
	"syscall"
)

// passing are the errors of accept that may be gone with the next one.
var passing = [...]error{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR, os.ErrDeadlineExceeded,
}
