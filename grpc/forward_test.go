package commgrpc_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
)

// forwarding is a gateway before another one, which has the service.
func forwarding(t *testing.T, s *service, opts ...commgrpc.Option) *comm.Manager {
	t.Helper()
	upstream := client(t, gateway(t, commgrpc.New(with(s))))
	return gateway(t, commgrpc.New(append(opts, commgrpc.WithUnknownService(commgrpc.Forward(upstream)))...))
}

// A forwarded call is the same as one that is not: messages, metadata both ways, and the status with its details.
func TestForward(t *testing.T) {
	t.Parallel()
	s := &service{unary: func(ctx context.Context, in *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		grpc.SetHeader(ctx, metadata.Pairs("x-header", md.Get("x-sent")[0]))
		grpc.SetTrailer(ctx, metadata.Pairs("x-trailer-bin", "\x00\xff", "x-parent", md.Get("traceparent")[0]))
		if len(md.Get("connection"))+len(md.Get("grpc-timeout")) > 0 || len(md.Get("content-type")) != 1 {
			return nil, status.Errorf(codes.DataLoss, "%v", md)
		}
		if in.GetResponseSize() < 0 {
			st, err := status.New(codes.OutOfRange, "no such size").WithDetails(in)
			if err != nil {
				return nil, err
			}
			return nil, st.Err()
		}
		return &grpc_testing.SimpleResponse{Payload: in.GetPayload()}, nil
	}}
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, native := range []bool{true, false} {
		c := testClient(t, forwarding(t, s, commgrpc.WithNative(native)))
		var header, trailer metadata.MD
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-sent", "1", "traceparent", parent)
		out, err := c.UnaryCall(ctx, payload(1000), grpc.Header(&header), grpc.Trailer(&trailer))
		if err != nil || len(out.GetPayload().GetBody()) != 1000 {
			t.Fatal(err)
		}
		if header.Get("x-header")[0] != "1" || trailer.Get("x-trailer-bin")[0] != "\x00\xff" {
			t.Errorf("header %v, trailer %v", header, trailer)
		}
		if got := trailer.Get("x-parent")[0]; got[:36] != parent[:36] || got == parent {
			t.Errorf("trace %q", got)
		}
		_, err = c.UnaryCall(ctx, &grpc_testing.SimpleRequest{ResponseSize: -1}, grpc.Trailer(&trailer))
		if s := status.Convert(err); s.Code() != codes.OutOfRange || s.Message() != "no such size" || len(s.Details()) != 1 {
			t.Errorf("%v with %v", err, s.Details())
		}
	}
}

// Both sides of a forwarded stream speak whenever they like, and either may end it.
func TestForwardStream(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	s := &service{duplex: func(s grpc.BidiStreamingServer[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]) error {
		err := new(service).FullDuplexCall(s)
		ended <- err
		return err
	}}
	c := testClient(t, forwarding(t, s))
	ctx, cancel := context.WithCancel(t.Context())
	for _, end := range []func(grpc_testing.TestService_FullDuplexCallClient) error{
		func(s grpc_testing.TestService_FullDuplexCallClient) error { return s.CloseSend() },
		func(grpc_testing.TestService_FullDuplexCallClient) error { cancel(); return nil },
	} {
		both, err := c.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 50 {
			if err := both.Send(&grpc_testing.StreamingOutputCallRequest{Payload: payload(n).GetPayload()}); err != nil {
				t.Fatal(err)
			}
			if in, err := both.Recv(); err != nil || len(in.GetPayload().GetBody()) != n {
				t.Fatalf("message %d: %v", n, err)
			}
		}
		if err := end(both); err != nil {
			t.Fatal(err)
		}
		_, err = both.Recv()
		if ctx.Err() == nil && err != io.EOF || ctx.Err() != nil && status.Code(err) != codes.Canceled {
			t.Errorf("the end: %v", err)
		}
		if err := <-ended; ctx.Err() == nil && err != nil || ctx.Err() != nil && status.Code(err) != codes.Canceled {
			t.Errorf("the other server's end: %v", err)
		}
	}
}

// A message that is larger than the gateway allows is refused for that, and not as a call that was given up.
func TestForwardLimits(t *testing.T) {
	t.Parallel()
	for _, native := range []bool{true, false} {
		c := testClient(t, forwarding(t, new(service), commgrpc.WithNative(native), commgrpc.WithMaxRecvMsgSize(1000)))
		for range 20 {
			_, err := c.UnaryCall(t.Context(), payload(2000))
			wantCode(t, "too large", err, codes.ResourceExhausted)
		}
		both, err := c.FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{10, 2000} {
			_ = both.Send(&grpc_testing.StreamingOutputCallRequest{Payload: payload(n).GetPayload()})
			in, err := both.Recv()
			if n == 10 && (err != nil || len(in.GetPayload().GetBody()) != 10) {
				t.Errorf("one that fits: %v", err)
			} else if n > 10 {
				wantCode(t, "too large behind others", err, codes.ResourceExhausted)
			}
		}
	}
}

// Codecs pass through that the gateway does not know; a server that is not there is UNAVAILABLE; gRPC-Web is forwarded.
func TestForwardOddly(t *testing.T) {
	t.Parallel()
	m := forwarding(t, new(service))
	if a := ask(t, m, callTo(unaryCall, "application/grpc+testjson", "grpc-go/1.85"), []byte(`{"payload":{"body":"eHh4"}}`)); a.fields["grpc-status"] != "0" {
		t.Errorf("another codec: %v %q", a.fields, a.body)
	}
	if a := ask(t, m, callTo(unaryCall, "application/grpc+thrift", "grpc-go/1.85"), nil); a.fields["grpc-status"] != "12" {
		t.Errorf("a codec that the other server lacks: %v", a.fields)
	}
	w := newWeb(t, m, false)
	res, err := w.Post(w.scheme+"://localhost"+unaryCall, "application/grpc-web", webBody("", frame(t, 0, payload(3))))
	if err != nil {
		t.Fatal(err)
	}
	if f := readWeb(t, res); res.StatusCode != http.StatusOK || len(f.messages) != 1 || f.trailers["grpc-status"] != "0" {
		t.Errorf("gRPC-Web: %s, %v", res.Status, f)
	}
	gone := gateway(t, commgrpc.New())
	upstream := client(t, gone)
	gone.Close()
	_, err = testClient(t, gateway(t, commgrpc.New(commgrpc.WithUnknownService(commgrpc.Forward(upstream))))).UnaryCall(t.Context(), payload(1))
	wantCode(t, "nobody there", err, codes.Unavailable)
}
