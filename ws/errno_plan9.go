package ws

// errno stands in for the numbers that Plan 9 does not have: there is no direct path there that would meet one.
type errno uint32

// Error implements error.
func (errno) Error() string { return "system call failed" }

const errnoAgain errno = 1
