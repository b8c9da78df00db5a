package commgrpc

import (
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"

	"github.com/anasamu/comm"
)

// lone keeps the message that was made last of one frame, which many streams send one after the other.
type lone struct{ last atomic.Pointer[loneBatch] }

type loneBatch struct {
	batch
	of comm.Outbound
}

// of returns the message of a shared frame that is to be sent on t.
func (l *lone) of(o comm.Outbound, t *transport) (*batch, error) {
	if last := l.last.Load(); last != nil && last.of == o && (last.ready != nil || !t.plain) {
		return &last.batch, nil
	}
	frame, err := t.encode(o)
	if err != nil {
		return nil, err
	}
	b := &loneBatch{of: o}
	b.reset(1)
	b.add(frame)
	if t.plain {
		var ready grpc.PreparedMsg
		if ready.Encode(t.stream, &b.batch) == nil {
			b.ready = &ready
		}
	}
	l.last.Store(b)
	return &b.batch, nil
}

// isPlain reports whether what is prepared on a stream is not compressed, and so fits every other one. gRPC prepares
// for the compression that it meant to use when the stream began, whatever is set later.
func isPlain(s grpc.ServerStream) bool {
	c, ok := grpc.ServerTransportStreamFromContext(s.Context()).(interface{ RecvCompress() string })
	return ok && (c.RecvCompress() == "" || c.RecvCompress() == encoding.Identity)
}
