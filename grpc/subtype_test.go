package commgrpc_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	commgrpc "github.com/anasamu/comm/grpc"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// jsonCodec is a user's codec.
type jsonCodec struct{}

func (jsonCodec) Name() string { return "testjson" }

func (jsonCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, err := olderJSON{}.Marshal(v)
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

func (jsonCodec) Unmarshal(data mem.BufferSlice, v any) error {
	return olderJSON{}.Unmarshal(data.Materialize(), v)
}

// olderJSON is one with the interface that grpc-go had before.
type olderJSON struct{}

func (olderJSON) Name() string { return "olderjson" }

func (olderJSON) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", v)
	}
	return protojson.Marshal(m)
}

func (olderJSON) Unmarshal(data []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", v)
	}
	return protojson.Unmarshal(data, m)
}

func init() { // as grpc-go asks for it
	encoding.RegisterCodecV2(jsonCodec{})
	encoding.RegisterCodec(olderJSON{})
}

// A call is answered in the codec that its content type names, or not at all.
func TestSubtypes(t *testing.T) {
	t.Parallel()
	m := gateway(t, commgrpc.New(with(new(service))))
	plain, err := proto.Marshal(payload(4))
	if err != nil {
		t.Fatal(err)
	}
	const duplex = "/grpc.testing.TestService/FullDuplexCall"
	inJSON := []byte(`{"payload":{"body":"eHh4eA=="}}`)
	for _, row := range []struct {
		path, media string
		message     []byte
		code, body  string
	}{
		{unaryCall, "application/grpc", plain, "0", "xxxx"},
		{unaryCall, "application/grpc+proto", plain, "0", "xxxx"},
		{unaryCall, "application/grpc;charset=utf-8", plain, "0", "xxxx"},
		{unaryCall, "application/grpc+proto; charset=utf-8", plain, "0", "xxxx"},
		{unaryCall, "application/grpc+testjson", inJSON, "0", `"eHh4eA=="`},
		{unaryCall, "application/grpc+TestJSON; charset=utf-8", inJSON, "0", `"eHh4eA=="`},
		{unaryCall, "application/grpc+olderjson", inJSON, "0", `"eHh4eA=="`},
		{unaryCall, "application/grpc+olderjson", plain, "13", ""},
		{unaryCall, "application/grpc+json", inJSON, "12", ""},
		{unaryCall, "application/grpc+json", plain, "12", ""},
		{duplex, "application/grpc+testjson", inJSON, "0", `"eHh4eA=="`},
		{duplex, "application/grpc+json", plain, "12", ""},
		{"/comm.v1.HubService/GetStats", "application/grpc+testjson", []byte("{}"), "0", `"responseAverage"`},
		{"/comm.v1.HubService/Connect", "application/grpc+testjson", []byte("{}"), "12", ""},
		{"/comm.v1.HubService/Subscribe", "application/grpc+testjson", []byte("{}"), "12", ""},
	} {
		for _, agent := range []string{"grpc-go/1.85", "curl"} {
			a := ask(t, m, callTo(row.path, row.media, agent), row.message)
			if got := a.fields["grpc-status"]; got != row.code || !strings.Contains(string(a.body), row.body) || row.body == "" && len(a.body) > 0 {
				t.Errorf("%s by %s of %q: status %s %q, %q, want %s, %q", row.path, agent, row.media, got, a.fields["grpc-message"], a.body, row.code, row.body)
			}
		}
	}
}

// Of a call in another codec interceptors and handlers see what they see of all calls.
func TestSubtypeAndInterceptors(t *testing.T) {
	t.Parallel()
	see := func(v any) error {
		if _, ok := v.(proto.Message); !ok {
			return status.Errorf(codes.DataLoss, "%T", v)
		}
		return nil
	}
	m := gateway(t, commgrpc.New(with(new(service)),
		commgrpc.WithUnaryInterceptors(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := see(req); err != nil {
				return nil, err
			}
			resp, err := next(ctx, req)
			if err == nil {
				err = see(resp)
			}
			return resp, err
		}),
		commgrpc.WithStreamInterceptors(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return next(srv, seeing{ss, see})
		})))
	c := testClient(t, m, grpc.WithDefaultCallOptions(grpc.CallContentSubtype("testjson")))
	out, err := c.UnaryCall(t.Context(), payload(4))
	if err != nil || string(out.GetPayload().GetBody()) != "xxxx" {
		t.Errorf("unary: %v, %v", out, err)
	}
	_, err = c.UnaryCall(t.Context(), &grpc_testing.SimpleRequest{ResponseStatus: &grpc_testing.EchoStatus{Code: 5, Message: "none"}})
	wantCode(t, "a status", err, codes.NotFound)
	s, err := c.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.Send(&grpc_testing.StreamingOutputCallRequest{Payload: payload(4).GetPayload()})
		if in, err := s.Recv(); err != nil || string(in.GetPayload().GetBody()) != "xxxx" {
			t.Fatalf("stream: %v, %v", in, err)
		}
	}
	s.CloseSend()
	if _, err := s.Recv(); err != io.EOF {
		t.Errorf("the end: %v", err)
	}
}

// seeing is a stream whose messages are looked at.
type seeing struct {
	grpc.ServerStream
	see func(any) error
}

func (s seeing) RecvMsg(m any) error {
	if err := s.see(m); err != nil {
		return err
	}
	return s.ServerStream.RecvMsg(m)
}

func (s seeing) SendMsg(m any) error {
	if err := s.see(m); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}

// A message that was prepared is in Protocol Buffers, and so nothing for a call in another codec.
func TestPreparedMessage(t *testing.T) {
	t.Parallel()
	m := gateway(t, commgrpc.New(with(&service{
		duplex: func(s grpc.BidiStreamingServer[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]) error {
			var ready grpc.PreparedMsg
			if err := ready.Encode(s, &grpc_testing.StreamingOutputCallResponse{Payload: payload(4).GetPayload()}); err != nil {
				return err
			}
			return s.SendMsg(&ready)
		},
	})))
	for subtype, code := range map[string]codes.Code{"proto": codes.OK, "testjson": codes.Internal} {
		s, err := testClient(t, m).FullDuplexCall(t.Context(), grpc.CallContentSubtype(subtype))
		if err == nil {
			_, err = s.Recv()
		}
		wantCode(t, subtype, err, code)
	}
}

// gRPC-Web names the codec of its messages the same way.
func TestWebSubtypes(t *testing.T) {
	t.Parallel()
	m := gateway(t, commgrpc.New(with(new(service))))
	w := newWeb(t, m, false)
	for media, status := range map[string]int{
		"application/grpc-web+testjson": http.StatusOK, "application/grpc-web-text+testjson": http.StatusOK, "application/grpc-web+json": http.StatusUnsupportedMediaType,
	} {
		body := webBody(media, rawFrame(0, []byte(`{"payload":{"body":"eHh4eA=="}}`)))
		res, err := w.Post(w.scheme+"://localhost"+unaryCall, media, body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != status {
			t.Errorf("%s: %s", media, res.Status)
		}
		if status != http.StatusOK {
			res.Body.Close()
			continue
		}
		if got := res.Header.Get("Content-Type"); got != media {
			t.Errorf("%s is answered in %s", media, got)
		}
		f := readWeb(t, res)
		if len(f.messages) != 1 || !strings.Contains(string(f.messages[0]), `"eHh4eA=="`) || f.trailers["grpc-status"] != "0" {
			t.Errorf("%s: %q, %q", media, f.messages, f.trailers)
		}
	}
}

// The handler of unknown services passes bytes on as they are, in whatever codec.
func TestRawBytes(t *testing.T) {
	t.Parallel()
	m := gateway(t, commgrpc.New(commgrpc.WithUnknownService(func(_ any, ss grpc.ServerStream) error {
		var raw []byte
		if err := ss.RecvMsg(&raw); err != nil {
			return err
		}
		return ss.SendMsg(&raw)
	})))
	for _, media := range []string{"application/grpc", "application/grpc+testjson", "application/grpc+thrift"} {
		a := ask(t, m, callTo("/any.Service/Any", media, "grpc-go/1.85"), []byte("\xff any bytes"))
		if string(a.body) != string(rawFrame(0, []byte("\xff any bytes"))) || a.fields["grpc-status"] != "0" {
			t.Errorf("%s: %q, %v", media, a.body, a.fields)
		}
	}
	m = gateway(t, commgrpc.New(commgrpc.WithUnknownService(func(_ any, ss grpc.ServerStream) error {
		return ss.RecvMsg(new(commv1.Frame))
	})))
	if a := ask(t, m, callTo("/any.Service/Any", "application/grpc+thrift", "grpc-go/1.85"), nil); a.fields["grpc-status"] != "12" {
		t.Errorf("a message in no codec: %v", a.fields)
	}
}
