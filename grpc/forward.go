package commgrpc

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/trace"
)

// Forward is a handler for [WithUnknownService] that passes each call on to another server: its messages as they are, in
// whatever codec, its metadata, Authorization included, its deadline and its end; and back what that server answers.
// The messages of both sides are bounded by the provider's limits and by those of cc. The caller closes cc.
//
//	upstream, err := grpc.NewClient("dns:///users.internal:443", grpc.WithTransportCredentials(creds))
//	...
//	comm.WithProvider(commgrpc.New(commgrpc.WithUnknownService(commgrpc.Forward(upstream))))
func Forward(cc grpc.ClientConnInterface) grpc.StreamHandler {
	return func(_ any, in grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(in)
		if _, _, ok := splitMethod(method); !ok {
			return status.Error(codes.Unimplemented, "malformed method name")
		}
		ctx, cancel := context.WithCancel(forwardedContext(in.Context()))
		defer cancel()
		raw := rawCodec{orElse(subtypeOf(ctx), proto.Name)}
		out, err := cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method, grpc.ForceCodecV2(raw))
		if err != nil {
			return err
		}
		go forwardRequest(in, out, cancel) // ends with the stream, which ends with the handler
		return forwardAnswer(in, out)
	}
}

// forwardRequest passes on what the client sends.
func forwardRequest(in grpc.ServerStream, out grpc.ClientStream, cancel context.CancelFunc) {
	for {
		var message []byte
		err := in.RecvMsg(&message)
		switch {
		case errors.Is(err, io.EOF):
			_ = out.CloseSend() // it does not fail
			return
		case err != nil:
			cancel()
			return
		case out.SendMsg(&message) != nil: // why is the answer's to say
			return
		}
	}
}

// forwardAnswer passes on what the other server answers, until its status.
func forwardAnswer(in grpc.ServerStream, out grpc.ClientStream) error {
	if header, err := out.Header(); err == nil && len(header) > 0 {
		if err := in.SendHeader(header); err != nil {
			return err
		}
	}
	for {
		var message []byte
		if err := out.RecvMsg(&message); err != nil {
			in.SetTrailer(out.Trailer())
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := in.SendMsg(&message); err != nil {
			return err
		}
	}
}

// forwardedContext is the context of a call with its metadata for another server: without what is of the connection, or
// what gRPC says of the call by itself. It is one step further in the call's trace.
func forwardedContext(ctx context.Context) context.Context {
	md, _ := metadata.FromIncomingContext(ctx) // a copy
	for name := range md {
		if strings.HasPrefix(name, ":") || slices.Contains(ofTheHop, name) {
			delete(md, name)
		}
	}
	if parent := comm.Traceparent(ctx); parent != "" {
		md.Set(trace.Traceparent, parent)
	}
	return metadata.NewOutgoingContext(ctx, md)
}

// ofTheHop are the metadata that belong to one connection, or that gRPC sets itself.
var ofTheHop = []string{
	"accept-encoding", "connection", "content-length", "content-type", "grpc-accept-encoding", "grpc-encoding", "grpc-timeout", "host",
	"keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
}
