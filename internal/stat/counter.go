package stat

import "sync/atomic"

// Counter is an atomic.Int64 with a cache line to itself (64 bytes): counters that lie side by side in a struct, and
// are added to by different goroutines, do not slow each other down. Striping one counter over several lines was
// measured too: with the choice of a stripe it costs more than the contention it saves until many cores do nothing
// but count. The zero value is 0; it is safe for concurrent use and must not be copied.
type Counter struct {
	atomic.Int64
	_ [56]byte
}
