//go:build !plan9

package ws

import "syscall"

// errno is what a system call fails with.
type errno = syscall.Errno

const errnoAgain = syscall.EAGAIN
