package listen

import (
	"os"
	"syscall"
)

// passing are the errors of accept that may be gone with the next one.
var passing = [...]error{syscall.EMFILE, syscall.EINTR, os.ErrDeadlineExceeded}
