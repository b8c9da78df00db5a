package commgrpc_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	commgrpc "github.com/anasamu/comm/grpc"
)

// webService is a service whose answers the tests know.
type webService struct {
	testpb.UnimplementedTestServiceServer
	step    chan struct{} // if set, StreamingOutputCall waits for it before each message but the first
	entered chan error    // if set, a call that waits for its end tells here when, and how, it came
}

// UnaryCall answers with the payload and the metadata that it was sent.
func (s *webService) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	for _, v := range md["x-echo"] {
		if err := grpc.SetHeader(ctx, metadata.Pairs("x-echoed", v)); err != nil {
			return nil, err
		}
	}
	for _, v := range md["x-trailing-bin"] {
		if err := grpc.SetTrailer(ctx, metadata.Pairs("x-trailed-bin", v, "x-lines", "one\r\ngrpc-status: 3")); err != nil {
			return nil, err
		}
	}
	if md["x-wait"] != nil {
		<-ctx.Done()
		s.entered <- ctx.Err()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if want := in.GetResponseStatus(); want.GetCode() != 0 {
		st, err := status.New(codes.Code(want.GetCode()), want.GetMessage()).WithDetails(in.GetPayload())
		if err != nil {
			return nil, err
		}
		return nil, st.Err()
	}
	return &testpb.SimpleResponse{Payload: in.GetPayload(), Username: ":authority " + strings.Join(md[":authority"], "")}, nil
}

// StreamingOutputCall sends payloads of the sizes that it was asked for, the first byte of each its number.
func (s *webService) StreamingOutputCall(in *testpb.StreamingOutputCallRequest, out testpb.TestService_StreamingOutputCallServer) error {
	for i, p := range in.GetResponseParameters() {
		if s.step != nil && i > 0 {
			select {
			case <-s.step:
			case <-out.Context().Done():
				s.entered <- out.Context().Err()
				return out.Context().Err()
			}
		}
		body := make([]byte, p.GetSize())
		if len(body) > 0 {
			body[0] = byte(i)
		}
		if err := out.Send(&testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: body}}); err != nil {
			return err
		}
	}
	if code := in.GetResponseStatus().GetCode(); code != 0 {
		return status.Error(codes.Code(code), in.GetResponseStatus().GetMessage())
	}
	return nil
}

// FullDuplexCall answers each message with its payload.
func (s *webService) FullDuplexCall(both testpb.TestService_FullDuplexCallServer) error {
	for {
		in, err := both.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := both.Send(&testpb.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

// StreamingInputCall takes a message for each step, and tells how many bytes there were.
func (s *webService) StreamingInputCall(in testpb.TestService_StreamingInputCallServer) error {
	sum := 0
	for {
		if s.step != nil {
			select {
			case <-s.step:
			case <-in.Context().Done():
				return in.Context().Err()
			}
		}
		m, err := in.Recv()
		if err == io.EOF {
			return in.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: int32(sum)})
		}
		if err != nil {
			return err
		}
		sum += len(m.GetPayload().GetBody())
	}
}

const (
	unaryPath  = "/grpc.testing.TestService/UnaryCall"
	streamPath = "/grpc.testing.TestService/StreamingOutputCall"
	inputPath  = "/grpc.testing.TestService/StreamingInputCall"
)

// newWebHandler is a gRPC server with the service behind NewMixed.
func newWebHandler(t *testing.T, s *webService, o commgrpc.WebSettings) http.Handler {
	t.Helper()
	var opts []grpc.ServerOption
	if o.MaxReceive > 0 {
		opts = append(opts, grpc.MaxRecvMsgSize(o.MaxReceive))
	}
	g := grpc.NewServer(append(opts, grpc.ChainStreamInterceptor(commgrpc.PaceStream))...)
	testpb.RegisterTestServiceServer(g, s)
	t.Cleanup(g.Stop)
	return commgrpc.NewMixed(g, o)
}

// startWeb serves a handler on a socket: HTTP/1.1 in cleartext, or HTTP/2 over TLS.
func startWeb(t *testing.T, h http.Handler, h2 bool) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	if s.EnableHTTP2 = h2; h2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// frame is a message as it goes over the wire.
func frame(t *testing.T, flags byte, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return rawFrame(flags, b)
}

func rawFrame(flags byte, content []byte) []byte {
	head := []byte{flags, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(head[1:], uint32(len(content)))
	return append(head, content...)
}

// webCall is a POST as a client of gRPC-Web makes it; headers are name and value in turn.
func webCall(t *testing.T, s *httptest.Server, path, media string, body io.Reader, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", media)
	r.Header.Set("X-Grpc-Web", "1")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	client := *s.Client()
	client.Timeout = patience
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// webFrames are all frames of a response: its messages, and its trailers line by line.
type webFrames struct {
	flags    []byte
	messages [][]byte
	trailers map[string]string
}

// plainOf decodes base64 that may be padded anywhere, as browsers' clients do it: four by four.
func plainOf(t *testing.T, text []byte) (plain []byte) {
	t.Helper()
	if len(text)%4 != 0 {
		t.Fatalf("%d bytes of base64 are no groups of four: %q", len(text), text)
	}
	for group := range slices.Chunk(text, 4) {
		b, err := base64.StdEncoding.AppendDecode(nil, group)
		if err != nil {
			t.Fatalf("base64 %q: %v", group, err)
		}
		plain = append(plain, b...)
	}
	return plain
}

// framesOf takes a response apart, byte by byte.
func framesOf(t *testing.T, b []byte) (f webFrames) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 5 || f.trailers != nil {
			t.Fatalf("%q is no frame, or comes after the trailers %q", b, f.trailers)
		}
		size := int(binary.BigEndian.Uint32(b[1:]))
		if len(b) < 5+size {
			t.Fatalf("a frame of %d bytes, and %d are there", size, len(b)-5)
		}
		content := b[5 : 5+size]
		if b[0]&0x80 == 0 {
			f.flags, f.messages = append(f.flags, b[0]), append(f.messages, content)
		} else {
			f.trailers = make(map[string]string)
			for line := range strings.SplitAfterSeq(string(content), "\r\n") {
				if line == "" {
					continue
				}
				name, value, ok := strings.Cut(strings.TrimSuffix(line, "\r\n"), ": ")
				if !ok || name != strings.ToLower(name) || !strings.HasSuffix(line, "\r\n") {
					t.Fatalf("a trailer %q", line)
				}
				f.trailers[name] = value
			}
		}
		b = b[5+size:]
	}
	return f
}

// readWeb reads a whole response.
func readWeb(t *testing.T, res *http.Response) webFrames {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/grpc-web-text") {
		b = plainOf(t, b)
	}
	return framesOf(t, b)
}

// statusIn is the status of a response, wherever it stands.
func statusIn(res *http.Response, f webFrames) (code, message string) {
	if code = res.Header.Get("Grpc-Status"); code != "" {
		return code, res.Header.Get("Grpc-Message")
	}
	return f.trailers["grpc-status"], f.trailers["grpc-message"]
}
