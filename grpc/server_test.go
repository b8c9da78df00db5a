package commgrpc_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	"github.com/anasamu/comm/http"
)

// The user's interceptors run inside the guard, the first outermost; a stats handler is told; what is not wrapped
// passes through.
func TestInterceptors(t *testing.T) {
	t.Parallel()
	var order []string
	unary := func(name string) grpc.UnaryServerInterceptor {
		return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			order = append(order, name+" for "+commgrpc.FromContext(ctx).Identity.User)
			return next(ctx, req)
		}
	}
	stream := func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		order = append(order, "stream for "+commgrpc.FromContext(ss.Context()).Identity.User)
		return next(srv, ss)
	}
	p := commgrpc.New(with(new(service)), commgrpc.WithUnaryInterceptors(unary("a"), unary("b")), commgrpc.WithUnaryInterceptors(unary("c")),
		commgrpc.WithStreamInterceptors(stream))
	m := guarded(t, p, comm.WithAuthenticator(byToken), comm.WithAuthorizer(annOnly))
	c := testClient(t, m)
	if _, err := c.UnaryCall(as(t, "ann"), payload(1)); err != nil {
		t.Fatal(err)
	}
	_, err := c.UnaryCall(as(t, "eve"), payload(1))
	wantCode(t, "eve", err, codes.PermissionDenied)
	s, err := c.FullDuplexCall(as(t, "ann"))
	if err != nil {
		t.Fatal(err)
	}
	s.CloseSend()
	s.Recv()
	if got := strings.Join(order, ", "); got != "a for ann, b for ann, c for ann, stream for ann" {
		t.Error(got)
	}
}

// Messages past the bounds are RESOURCE_EXHAUSTED, those that unfold past them too.
func TestMessageSizes(t *testing.T) {
	t.Parallel()
	big := &service{unary: func(_ context.Context, in *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
		return &grpc_testing.SimpleResponse{Payload: payload(int(in.GetResponseSize())).GetPayload()}, nil
	}}
	m := gateway(t, commgrpc.New(with(big), commgrpc.WithMaxRecvMsgSize(1<<16), commgrpc.WithMaxSendMsgSize(1<<17)))
	overBoth(t, m, func(t *testing.T, call func(context.Context, *grpc_testing.SimpleRequest) error) {
		wantCode(t, "request within", call(t.Context(), payload(60_000)), codes.OK)
		wantCode(t, "request past", call(t.Context(), payload(70_000)), codes.ResourceExhausted)
		wantCode(t, "response within", call(t.Context(), &grpc_testing.SimpleRequest{ResponseSize: 130_000}), codes.OK)
		wantCode(t, "response past", call(t.Context(), &grpc_testing.SimpleRequest{ResponseSize: 140_000}), codes.ResourceExhausted)
	})
	_, err := testClient(t, m).UnaryCall(t.Context(), payload(1<<24), grpc.UseCompressor(gzip.Name))
	wantCode(t, "a small message that unfolds to a large one", err, codes.ResourceExhausted)
	_, err = testClient(t, m).UnaryCall(t.Context(), payload(60_000), grpc.UseCompressor(gzip.Name))
	wantCode(t, "compressed", err, codes.OK)
}

// The default bounds are 4 MiB.
func TestMessageSizeDefaults(t *testing.T) {
	t.Parallel()
	m := gateway(t, commgrpc.New(with(new(service))))
	c := testClient(t, m, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<24)))
	_, err := c.UnaryCall(t.Context(), payload(4<<20-100))
	wantCode(t, "within", err, codes.OK)
	_, err = c.UnaryCall(t.Context(), payload(4<<20))
	wantCode(t, "past", err, codes.ResourceExhausted)
}

// The authorizer is asked about methods that the user's handler of unknown services takes.
func TestUnknownService(t *testing.T) {
	t.Parallel()
	var asked string
	m := guarded(t, commgrpc.New(commgrpc.WithUnknownService(func(_ any, ss grpc.ServerStream) error {
		return ss.SendMsg(new(grpc_testing.Empty))
	})), comm.WithAuthorizer(func(_ context.Context, _ *comm.Conn, a comm.Access) error {
		asked = a.Method
		if strings.HasPrefix(a.Method, "/allowed.") {
			return nil
		}
		return comm.ErrForbidden
	}))
	cc := client(t, m)
	for method, code := range map[string]codes.Code{"/allowed.Service/Any": codes.OK, "/other.Service/Any": codes.PermissionDenied} {
		err := cc.Invoke(t.Context(), method, new(grpc_testing.Empty), new(grpc_testing.Empty))
		wantCode(t, method, err, code)
		if asked != method {
			t.Errorf("asked about %q", asked)
		}
	}
	if s, err := m.Stats("grpc"); err != nil || s.Calls["unknown"].Calls != 2 || len(s.Calls) != 1 {
		t.Errorf("counted as %v, %v: names that clients make up are no label", s.Calls, err)
	}
}

// What would open a way past the authorizer is no option: a handler of unknown services that the guard does not know of.
func TestUnknownServiceByServerOption(t *testing.T) {
	t.Parallel()
	reached := func(any, grpc.ServerStream) error { return status.Error(codes.DataLoss, "reached") }
	m := guarded(t, commgrpc.New(commgrpc.WithServerOptions(grpc.UnknownServiceHandler(reached))))
	wantCode(t, "an unknown service", client(t, m).Invoke(t.Context(), "/x.S/M", payload(1), payload(1)), codes.Unimplemented)
	m = guarded(t, commgrpc.New(commgrpc.WithUnknownService(reached)))
	wantCode(t, "one that is handled", client(t, m).Invoke(t.Context(), "/x.S/M", payload(1), payload(1)), codes.PermissionDenied)
}

// Calls of what is not registered reach the handler by whatever connection they come, past a page for every path, under
// the same guard; what is no call does not.
func TestUnknownServiceOverHTTP(t *testing.T) {
	t.Parallel()
	var asked atomic.Value
	p := commgrpc.New(with(new(service)), commgrpc.WithUnknownService(echoRaw))
	m := guardedBeside(t, commhttp.New(
		commhttp.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a page") }),
		commhttp.HandleFunc("POST /taken.Service/Any", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "taken") }),
	), p, comm.WithAuthenticator(byToken), comm.WithAuthorizer(func(_ context.Context, c *comm.Conn, a comm.Access) error {
		asked.Store(c.User() + " " + a.Method)
		if strings.HasPrefix(a.Method, "/allowed.") {
			return nil
		}
		return comm.ErrForbidden
	}))
	w := newWeb(t, m, true)
	token := func(name string) http.Header { return http.Header{"Authorization": {"Bearer " + name}} }
	var out grpc_testing.SimpleRequest
	if err := w.call(t, "/allowed.Service/Any", payload(3), &out, token("ann")); err != nil || len(out.GetPayload().GetBody()) != 3 {
		t.Errorf("%v, %v", &out, err)
	}
	if got := asked.Load(); got != "ann /allowed.Service/Any" {
		t.Errorf("asked about %v", got)
	}
	wantCode(t, "a forbidden one", w.call(t, "/other.Service/Any", payload(3), nil, token("ann")), codes.PermissionDenied)
	wantCode(t, "a stranger", w.call(t, "/allowed.Service/Any", payload(3), nil, token("bad")), codes.Unauthenticated)
	wantCode(t, "an unknown method", w.call(t, "/grpc.testing.TestService/None", payload(3), nil, token("ann")), codes.PermissionDenied)
	wantCode(t, "a registered one", w.call(t, unaryCall, payload(3), nil, token("ann")), codes.PermissionDenied)
	for path, want := range map[string]string{"/taken.Service/Any": "taken", "/any": "a page"} {
		resp, err := w.Post(w.scheme+"://localhost"+path, "text/plain", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) != want {
			t.Errorf("%s is answered by %q", path, b)
		}
	}
	if err := w.call(t, "/taken.Service/Any", payload(1), nil, token("ann")); err == nil {
		t.Error("the route of another provider gave way")
	}
	if s, err := m.Stats("grpc"); err != nil || s.Calls["unknown"].Calls != 4 {
		t.Errorf("counted as %v, %v", s.Calls, err)
	}
	if p.NativeConns() != 0 || w.conns != 1 {
		t.Errorf("%d native connections, %d in all", p.NativeConns(), w.conns)
	}
}

// echoRaw sends every message back as it came.
func echoRaw(_ any, ss grpc.ServerStream) error {
	for {
		var raw []byte
		switch err := ss.RecvMsg(&raw); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
		if err := ss.SendMsg(&raw); err != nil {
			return err
		}
	}
}

// A stream of both sides that nobody has registered goes back and forth over net/http too, and pages reach unknown
// services by gRPC-Web, with what their browsers ask before.
func TestUnknownStreamOverHTTP(t *testing.T) {
	t.Parallel()
	m := gateway(t, commgrpc.New(commgrpc.WithUnknownService(echoRaw), commgrpc.WithNative(false)), comm.WithAllowedOrigins("https://app.example"))
	s, err := client(t, m).NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/any.Service/Any")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 100 { // many more than may wait for the handler
		if err := s.SendMsg(payload(n)); err != nil {
			t.Fatal(err)
		}
		var in grpc_testing.SimpleRequest
		if err := s.RecvMsg(&in); err != nil || len(in.GetPayload().GetBody()) != n {
			t.Fatalf("message %d: %v", n, err)
		}
	}
	w := newWeb(t, m, false)
	page := func(method, media string, body io.Reader, more ...string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), method, w.scheme+"://localhost/any.Service/Any", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", media)
		r.Header.Set("Origin", "https://app.example")
		for i := 0; i < len(more); i += 2 {
			r.Header.Set(more[i], more[i+1])
		}
		resp, err := w.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	resp := page(http.MethodOptions, "", http.NoBody, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type,x-grpc-web")
	if resp.StatusCode != http.StatusNoContent || resp.Header.Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Errorf("preflight: %s, %v", resp.Status, resp.Header)
	}
	f := readWeb(t, page(http.MethodPost, "application/grpc-web", bytes.NewReader(rawFrame(0, []byte("hi")))))
	if len(f.messages) != 1 || string(f.messages[0]) != "hi" || f.trailers["grpc-status"] != "0" {
		t.Errorf("%q, %q", f.messages, f.trailers)
	}
}
