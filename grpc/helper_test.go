package commgrpc_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	commhttp "github.com/anasamu/comm/http"
)

const unaryCall = "/grpc.testing.TestService/UnaryCall"

// service answers each unary call with its payload, and one that asks for a status with that. Streams echo until the
// client is done. Functions that a test sets take their place.
type service struct {
	grpc_testing.UnimplementedTestServiceServer
	unary  func(ctx context.Context, in *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error)
	duplex func(s grpc.BidiStreamingServer[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]) error
}

func (s *service) EmptyCall(context.Context, *grpc_testing.Empty) (*grpc_testing.Empty, error) {
	return new(grpc_testing.Empty), nil
}

func (s *service) UnaryCall(ctx context.Context, in *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	if s.unary != nil {
		return s.unary(ctx, in)
	}
	if st := in.GetResponseStatus(); st != nil {
		return nil, status.Error(codes.Code(st.GetCode()), st.GetMessage())
	}
	return &grpc_testing.SimpleResponse{Payload: in.GetPayload()}, nil
}

func (s *service) FullDuplexCall(stream grpc.BidiStreamingServer[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]) error {
	if s.duplex != nil {
		return s.duplex(stream)
	}
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&grpc_testing.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

// with registers s.
func with(s *service) commgrpc.Option {
	return commgrpc.Register(func(r grpc.ServiceRegistrar) { grpc_testing.RegisterTestServiceServer(r, s) })
}

// pages is a provider beside, with GET /page.
func pages() *commhttp.Provider {
	return commhttp.New(commhttp.HandleFunc("GET /page", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "page over "+r.Proto) }))
}

// gateway runs a manager in memory with the provider and options given, and a page beside. All access is open.
func gateway(t testing.TB, p *commgrpc.Provider, opts ...comm.Option) *comm.Manager {
	t.Helper()
	return guarded(t, p, append(opts, comm.WithOpenAccess())...)
}

// guarded is gateway without open access.
func guarded(t testing.TB, p *commgrpc.Provider, opts ...comm.Option) *comm.Manager {
	t.Helper()
	return guardedBeside(t, pages(), p, opts...)
}

// guardedBeside is guarded with other pages.
func guardedBeside(t testing.TB, pages *commhttp.Provider, p *commgrpc.Provider, opts ...comm.Option) *comm.Manager {
	t.Helper()
	all := append([]comm.Option{
		comm.WithInMemory(), comm.WithAddr("gateway:80"), comm.WithProvider(pages, p), comm.WithLogger(slog.New(slog.DiscardHandler)),
	}, opts...)
	m, err := comm.New(all...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if err := m.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return m
}

// client connects to the manager in memory, by gRPC's own library.
func client(t testing.TB, m *comm.Manager, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	return clientOf(t, m, "gateway:80", opts...)
}

func clientOf(t testing.TB, m *comm.Manager, addr string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	creds := insecure.NewCredentials()
	if conf, _ := m.DevelopmentCertificate(); conf != nil {
		conf = conf.Clone()
		conf.ServerName = "localhost"
		creds = credentials.NewTLS(conf)
	}
	all := append([]grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return m.DialContext(ctx, "tcp", addr) }),
	}, opts...)
	cc, err := grpc.NewClient("passthrough:///"+addr, all...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc
}

// testClient is the client of service.
func testClient(t testing.TB, m *comm.Manager, opts ...grpc.DialOption) grpc_testing.TestServiceClient {
	t.Helper()
	return grpc_testing.NewTestServiceClient(client(t, m, opts...))
}

// payload is a request with so many bytes.
func payload(n int) *grpc_testing.SimpleRequest {
	return &grpc_testing.SimpleRequest{Payload: &grpc_testing.Payload{Body: bytes.Repeat([]byte("x"), n)}}
}

// wantCode fails unless err has the code.
func wantCode(t testing.TB, what string, err error, code codes.Code) {
	t.Helper()
	if got := status.Code(err); got != code {
		t.Errorf("%s: %v, want %v", what, err, code)
	}
}

// web is an HTTP client of the manager that speaks one protocol and counts its connections.
type web struct {
	*http.Client
	scheme string
	conns  int
}

func newWeb(t testing.TB, m *comm.Manager, http2 bool) *web {
	t.Helper()
	conf, _ := m.DevelopmentCertificate()
	w := &web{scheme: "http"}
	tr := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: conf.Clone()}
	if conf != nil {
		w.scheme = "https"
	}
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		w.conns++
		return m.DialContext(ctx, network, "gateway:80")
	}
	tr.Protocols.SetHTTP1(!http2)
	tr.Protocols.SetHTTP2(http2)
	tr.Protocols.SetUnencryptedHTTP2(http2)
	t.Cleanup(tr.CloseIdleConnections)
	w.Client = &http.Client{Transport: tr}
	return w
}

// page asks for the page and returns what it says.
func (w *web) page(t testing.TB) string {
	t.Helper()
	resp, err := w.Get(w.scheme + "://localhost/page")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %q, %v", resp.Status, b, err)
	}
	return string(b)
}

// call makes a unary call with no more than an HTTP client: for connections on which not only gRPC is spoken.
func (w *web) call(t testing.TB, method string, in, out proto.Message, header http.Header) error {
	b, err := proto.Marshal(in)
	if err != nil {
		return err
	}
	body := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b))), b...)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.scheme+"://localhost"+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = make(http.Header)
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	resp, err := w.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP %s", resp.Status)
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if len(answer) > 5 && out != nil {
		if err := proto.Unmarshal(answer[5:], out); err != nil {
			return err
		}
	}
	code := resp.Trailer.Get("Grpc-Status") + resp.Header.Get("Grpc-Status")
	var n codes.Code
	if err := n.UnmarshalJSON([]byte(code)); err != nil {
		return fmt.Errorf("grpc-status %q: %w", code, err)
	}
	if n == codes.OK {
		return nil
	}
	return status.Error(n, resp.Trailer.Get("Grpc-Message")+resp.Header.Get("Grpc-Message"))
}

// bubble runs f in fake time. Idle connections of net/http wait for more than that, so they are cut at the end.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// dial opens a bare connection to the manager, behind TLS where it has that, and agreed on a protocol.
func dial(t testing.TB, m *comm.Manager, addr string, protos ...string) net.Conn {
	t.Helper()
	c, err := m.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	conf, _ := m.DevelopmentCertificate()
	if conf == nil {
		return c
	}
	conf = conf.Clone()
	conf.ServerName, conf.NextProtos = "localhost", protos
	secure := tls.Client(c, conf)
	if err := secure.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return secure
}

// patience bounds every wait of a test on real sockets. That it is over is always a failure, so it is long.
const patience = time.Minute

// eventually waits until ok, which real sockets and goroutines may take a moment for.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// contains fails unless text has every part.
func contains(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q lacks %q", text, p)
		}
	}
}
