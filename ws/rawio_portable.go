//go:build !unix || comm_portable

package ws

import "github.com/anasamu/comm/internal/park"

// newRawIO has no direct path here: connections read and write through their
// carrier and hold a buffer while they wait.
func newRawIO(any) *rawIO { return nil }

const parkable = false

func socketUnderTLS(any) park.Control { return nil }
