package commgrpc_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	commgrpc "github.com/anasamu/comm/grpc"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// TestConformance holds the hub against the suite that every carrier passes.
func TestConformance(t *testing.T) {
	commtest.Run(t, func(*testing.T) commtest.Setup {
		return commtest.Setup{
			Provider: commgrpc.New(),
			Dialer:   func(e commtest.Endpoint) comm.Dialer { return dialerOf(e) },
			SendRaw:  sendRaw, Backpressure: true, Verdict: true,
		}
	})
}

// dialerOf reaches an endpoint. The windows do not grow, so that a client that does not read stops the server soon.
func dialerOf(e commtest.Endpoint, opts ...commgrpc.DialOption) comm.Dialer {
	opts = append(opts, commgrpc.WithDialContext(e.DialContext), commgrpc.WithDialOptions(
		grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(64<<10),
	))
	if e.TLS != nil {
		opts = append(opts, commgrpc.WithTLS(e.TLS))
	}
	return commgrpc.Dialer(e.Addr, opts...)
}

// sendRaw says in protobuf what data says in JSON, or what is wrong in the same way, in as many bytes.
func sendRaw(_ context.Context, c comm.Carrier, data []byte) error {
	f, err := comm.JSON().ParseFrame(data)
	if err == nil {
		return commgrpc.SendRaw(c, padded(commgrpc.ToWire(f), len(data)))
	}
	fe, ok := errors.AsType[*comm.FrameError](err)
	if !ok {
		return err
	}
	return commgrpc.SendRaw(c, broken(fe))
}

// padded is a frame of n bytes, if it is not larger: a field that nobody knows fills it.
func padded(w *commv1.Frame, n int) []byte {
	b, err := proto.Marshal(w)
	if err != nil {
		return nil
	}
	const unknown = 1000
	for fill := range n {
		if len(b)+protowire.SizeTag(unknown)+protowire.SizeBytes(fill) == n {
			return protowire.AppendBytes(protowire.AppendTag(b, unknown, protowire.BytesType), make([]byte, fill))
		}
	}
	return b
}

// broken is a frame that is refused with a code and an id.
func broken(e *comm.FrameError) []byte {
	w := &commv1.Frame{Id: e.ID}
	switch e.Code {
	case comm.CodeUnknownOp:
		w.Op = 99
	case comm.CodeBadMessage:
		w.Op = commv1.Op_OP_MESSAGE
	case comm.CodeBadPosition:
		w.Op, w.Position = commv1.Op_OP_JOIN, "?"
	}
	b, err := proto.Marshal(w)
	if err != nil {
		return nil
	}
	if e.Code == comm.CodeBadFrame {
		b = protowire.AppendTag(b, 11, protowire.BytesType)
		b = append(b, 100) // and no hundred bytes
	}
	return b
}
