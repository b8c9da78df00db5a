//go:build unix

package graphql_test

import (
	"syscall"
	"time"
)

// spent is the processor's time that the process has used so far, which others on the machine do not lengthen.
func spent() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return time.Since(started)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var started = time.Now()
