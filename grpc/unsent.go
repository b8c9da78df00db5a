package commgrpc

import (
	"sync"
	"sync/atomic"
)

const (
	// heldByStream is how many bytes grpc-go's native transport holds for one stream before a send waits.
	heldByStream = 64 << 10
	// markEvery is after how many bytes their leaving is noted: a mark costs as much as some messages.
	markEvery = heldByStream / 2
	// countedAtMost is how many bytes one message counts for: as good as any number above heldByStream, and the sum of
	// many is still an int32.
	countedAtMost = 2 * heldByStream
)

// unsent counts the bytes that gRPC has taken for a stream and not given to its connection, and up to markEvery that
// have left. grpc-go does not tell, but it frees what it has written: so a mark goes along now and then, empty memory
// that is given back when all that is before it has left. What is compressed is freed before, so for streams
// that are every send counts as one that may wait.
type unsent struct {
	most   int32
	marked atomic.Int32 // bytes up to the last mark
	since  int32        // bytes since then; the sender's own
}

// full reports whether the next send may wait.
func (u *unsent) full() bool { return u.marked.Load()+u.since >= u.most }

// add counts a message that is to be sent. With a mark, that must go behind it.
func (u *unsent) add(size int) *mark {
	if u.since += int32(min(size, countedAtMost)); u.since < min(markEvery, u.most) {
		return nil
	}
	m := marks.Get().(*mark)
	m.of, m.size = u, u.since
	u.marked.Add(u.since)
	u.since = 0
	return m
}

// mark is the end of a message under way. It is the pool that its memory is given back to.
type mark struct {
	of   *unsent
	size int32 // of all since the mark before
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
	m.of.marked.Add(-m.size)
	m.of = nil
	marks.Put(m)
}
