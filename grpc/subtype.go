package commgrpc

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// A server has one codec, for the hub's sake, and a codec is not told of which call its messages are. So a message of a
// call in any other codec than Protocol Buffers carries that codec along.

// foreign is a message with the codec of its call.
type foreign struct {
	codec   encoding.CodecV2
	message any
}

// callCodec is the codec of the server: that of each message's call, and of raw bytes none.
type callCodec struct{ encoding.CodecV2 }

// Marshal implements encoding.CodecV2.
func (c callCodec) Marshal(v any) (mem.BufferSlice, error) {
	switch v := v.(type) {
	case *foreign:
		return v.codec.Marshal(v.message)
	case *[]byte:
		return rawCodec{}.Marshal(v)
	}
	return c.CodecV2.Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (c callCodec) Unmarshal(data mem.BufferSlice, v any) error {
	switch v := v.(type) {
	case *foreign:
		return v.codec.Unmarshal(data, v.message)
	case *[]byte:
		return rawCodec{}.Unmarshal(data, v)
	}
	return c.CodecV2.Unmarshal(data, v)
}

// rawCodec passes messages of type *[]byte on as they are, under the name of the codec that they are in.
type rawCodec struct{ name string }

// Name implements encoding.CodecV2.
func (c rawCodec) Name() string { return c.name }

// Marshal implements encoding.CodecV2.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("commgrpc: %T is no *[]byte", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
}

// Unmarshal implements encoding.CodecV2.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("commgrpc: %T is no *[]byte", v)
	}
	*b = data.Materialize()
	return nil
}

// subtypeOf is the content subtype of a call: "" for Protocol Buffers.
func subtypeOf(ctx context.Context) string {
	// Most calls are told apart without a look at their metadata, which would be a copy.
	if s, ok := grpc.ServerTransportStreamFromContext(ctx).(interface{ ContentSubtype() string }); ok && isProto(s.ContentSubtype()) {
		return ""
	}
	for _, media := range metadata.ValueFromIncomingContext(ctx, "content-type") {
		media, _, _ = strings.Cut(media, ";")
		_, name, _ := strings.Cut(strings.ToLower(strings.TrimSpace(media)), "+")
		if !isProto(name) {
			return name
		}
	}
	return ""
}

func isProto(subtype string) bool { return subtype == "" || subtype == proto.Name }

// codecNamed is the codec that is registered with grpc-go under a name, or nil.
func codecNamed(name string) encoding.CodecV2 {
	if c := encoding.GetCodecV2(name); c != nil {
		return c
	}
	if c := encoding.GetCodec(name); c != nil {
		return olderCodec{c}
	}
	return nil
}

// olderCodec makes a CodecV2 of a Codec.
type olderCodec struct{ encoding.Codec }

func (c olderCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, err := c.Codec.Marshal(v)
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

func (c olderCodec) Unmarshal(data mem.BufferSlice, v any) error {
	return c.Codec.Unmarshal(data.Materialize(), v)
}

// noCodec is the status of a call in a codec that is not there. grpc-go would take it for Protocol Buffers.
func noCodec(subtype string) error {
	return status.Errorf(codes.Unimplemented, "content type %q: no codec of that name is registered", contentType+"+"+shorten(subtype))
}

// inCodec has a method's messages go in the codec of each call.
func inCodec(handle grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		subtype := subtypeOf(ctx)
		if subtype == "" {
			return handle(srv, ctx, dec, interceptor)
		}
		codec := codecNamed(subtype)
		if codec == nil {
			return nil, noCodec(subtype)
		}
		reply, err := handle(srv, ctx, func(m any) error { return dec(&foreign{codec, m}) }, interceptor)
		return &foreign{codec, reply}, err
	}
}

// unariesInCodec is a service whose unary methods have their messages in the codec of each call.
func unariesInCodec(desc *grpc.ServiceDesc) *grpc.ServiceDesc {
	own := *desc
	own.Methods = slices.Clone(desc.Methods)
	for i, m := range own.Methods {
		own.Methods[i].Handler = inCodec(m.Handler)
	}
	return &own
}

// streamInCodec has a stream's messages go in the codec of its call. The hub's are encoded before it is known who gets
// them, and so in one codec only. The handler of unknown services may pass on bytes in whatever codec they are.
func streamInCodec(ss grpc.ServerStream, m *method) (grpc.ServerStream, error) {
	subtype := subtypeOf(ss.Context())
	if subtype == "" {
		return ss, nil
	}
	if m.own {
		return nil, status.Errorf(codes.Unimplemented, "content type %q: the hub's streams are %s", contentType+"+"+shorten(subtype), contentType)
	}
	s := &foreignStream{ss, codecNamed(subtype), noCodec(subtype)}
	if s.codec == nil && !m.unknown {
		return nil, s.missing
	}
	return s, nil
}

// foreignStream is a stream whose messages go in another codec.
type foreignStream struct {
	grpc.ServerStream
	codec   encoding.CodecV2
	missing error // for there being no codec
}

// SendMsg sends a message.
func (s *foreignStream) SendMsg(m any) error {
	if _, prepared := m.(*grpc.PreparedMsg); prepared {
		return status.Errorf(codes.Internal, "a message was prepared in %s for a call in another codec", contentType)
	}
	m, err := s.carried(m)
	if err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}

// RecvMsg receives a message.
func (s *foreignStream) RecvMsg(m any) error {
	m, err := s.carried(m)
	if err != nil {
		return err
	}
	return s.ServerStream.RecvMsg(m)
}

// carried is a message with its codec, which raw bytes need none of.
func (s *foreignStream) carried(m any) (any, error) {
	if _, raw := m.(*[]byte); raw {
		return m, nil
	}
	if s.codec == nil {
		return nil, s.missing
	}
	return &foreign{s.codec, m}, nil
}
