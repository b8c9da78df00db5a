package ws

import (
	"math/bits"
	"sync"
)

const (
	minBuffer = 512      // a control frame must fit: 14+125 bytes
	maxBuffer = 1 << 20  // the default read limit
	maxBatch  = 64 << 10 // accepted bytes leave at this many
)

// buffer is a pooled slice. Only what one connection alone uses is pooled;
// bytes shared by connections belong to the garbage collector.
type buffer struct{ b []byte }

var buffers [12]sync.Pool // by size class, minBuffer<<class

// getBuffer returns an empty buffer with room for n bytes.
func getBuffer(n int) *buffer {
	class := bits.Len(uint((max(n, minBuffer) - 1) / minBuffer))
	if class >= len(buffers) {
		return &buffer{make([]byte, 0, n)}
	}
	if b, ok := buffers[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{make([]byte, 0, minBuffer<<class)}
}

// putBuffer gives b back. A buffer that outgrew the classes is dropped.
func putBuffer(b *buffer) {
	if b == nil || cap(b.b) > maxBuffer || cap(b.b) < minBuffer {
		return
	}
	class := bits.Len(uint(cap(b.b)/minBuffer)) - 1
	b.b = b.b[:0]
	buffers[class].Put(b)
}
