//go:build !unix || comm_portable

package ws

// newRawIO has no direct path here: connections read and write through their
// carrier and hold a buffer while they wait.
func newRawIO(any) *rawIO { return nil }

const parkable = false
