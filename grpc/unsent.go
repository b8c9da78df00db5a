package commgrpc

import (
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/mem"
)

// heldByStream is how many bytes grpc-go's native transport holds for one stream before a send waits.
const heldByStream = 64 << 10

// unsent counts the bytes that gRPC has taken for a stream and not given to its connection. grpc-go does not tell, but
// it frees what it has written: so a mark goes with each message, empty memory that is given back when the message
// has left. Compressed messages would be freed before, so streams of the hub are not compressed.
type unsent struct {
	most  int64
	bytes atomic.Int64
}

// full reports whether the next send may wait.
func (u *unsent) full() bool { return u.bytes.Load() >= u.most }

// add counts a message of n bytes, and returns its mark.
func (u *unsent) add(n int) mem.Buffer {
	u.bytes.Add(int64(n))
	m := marks.Get().(*mark)
	m.of, m.size = u, int64(n)
	return mem.NewBuffer(&markMemory, m)
}

// mark is a message of a stream under way. It is the pool that its memory is given back to.
type mark struct {
	of   *unsent
	size int64
}

var marks = sync.Pool{New: func() any { return new(mark) }}

// markMemory is what all marks are made of: nothing, but room enough that gRPC takes it for pooled memory.
var markMemory = make([]byte, 0, 64<<10)

// Get implements mem.BufferPool. Nobody calls it.
func (m *mark) Get(n int) *[]byte {
	b := make([]byte, n)
	return &b
}

// Put implements mem.BufferPool: the message has left, or its stream has ended.
func (m *mark) Put(*[]byte) {
	m.of.bytes.Add(-m.size)
	m.of = nil
	marks.Put(m)
}
