package commgrpc_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// byToken takes the token for the user's name; "bad" is nobody's.
func byToken(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
	switch hs.Token {
	case "", "bad":
		return comm.Identity{}, comm.ErrUnauthenticated
	case "panic":
		panic("no idea")
	}
	return comm.Identity{User: hs.Token, Labels: map[string]string{"host": hs.Header.Get("Host"), "x": hs.Header.Get("X-Tenant")}}, nil
}

// as is ctx with a token.
func as(t testing.TB, token string, more ...string) context.Context {
	return metadata.NewOutgoingContext(t.Context(), metadata.Pairs(append([]string{"authorization", "Bearer " + token}, more...)...))
}

// annOnly allows ann alone, and only unary calls and streams by their names.
func annOnly(_ context.Context, c *comm.Conn, a comm.Access) error {
	switch {
	case a.Action != comm.ActionInvoke || c.Provider() != "grpc":
		return fmt.Errorf("asked about %v by %v", a, c.Provider())
	case c.User() != "ann":
		return comm.ErrForbidden
	case a.Method == unaryCall, a.Method == "/grpc.testing.TestService/FullDuplexCall":
		return nil
	}
	return comm.ErrForbidden
}

// overBoth runs f with callers of UnaryCall over the native transport and over net/http.
func overBoth(t *testing.T, m *comm.Manager, f func(t *testing.T, call func(ctx context.Context, in *grpc_testing.SimpleRequest) error)) {
	t.Helper()
	t.Run("native", func(t *testing.T) {
		c := testClient(t, m)
		f(t, func(ctx context.Context, in *grpc_testing.SimpleRequest) error {
			_, err := c.UnaryCall(ctx, in)
			return err
		})
	})
	t.Run("net/http", func(t *testing.T) {
		w := newWeb(t, m, true)
		f(t, func(ctx context.Context, in *grpc_testing.SimpleRequest) error {
			md, _ := metadata.FromOutgoingContext(ctx)
			h := make(map[string][]string)
			for k, v := range md {
				h[strings.ToUpper(k[:1])+k[1:]] = v
			}
			return w.call(t, unaryCall, in, nil, h)
		})
	})
}

// Who may call what, by the manager's authenticator and authorizer.
func TestRights(t *testing.T) {
	t.Parallel()
	m := guarded(t, commgrpc.New(with(new(service))), comm.WithAuthenticator(byToken), comm.WithAuthorizer(annOnly))
	overBoth(t, m, func(t *testing.T, call func(context.Context, *grpc_testing.SimpleRequest) error) {
		wantCode(t, "no token", call(t.Context(), payload(1)), codes.Unauthenticated)
		wantCode(t, "bad token", call(as(t, "bad"), payload(1)), codes.Unauthenticated)
		wantCode(t, "eve", call(as(t, "eve"), payload(1)), codes.PermissionDenied)
		wantCode(t, "ann", call(as(t, "ann"), payload(1)), codes.OK)
		wantCode(t, "panic", call(as(t, "panic"), payload(1)), codes.Internal)
	})
	c := testClient(t, m)
	_, err := c.EmptyCall(as(t, "ann"), new(grpc_testing.Empty))
	wantCode(t, "another method", err, codes.PermissionDenied)
	for token, code := range map[string]codes.Code{"ann": codes.OK, "eve": codes.PermissionDenied, "bad": codes.Unauthenticated} {
		s, err := c.FullDuplexCall(as(t, token))
		if err == nil {
			s.Send(new(grpc_testing.StreamingOutputCallRequest))
			_, err = s.Recv()
		}
		wantCode(t, "stream of "+token, err, code)
	}
}

// Without an authorizer nothing but what is public may be called.
func TestDefaultDeny(t *testing.T) {
	t.Parallel()
	m := guarded(t, commgrpc.New(with(new(service)), commgrpc.WithPublicMethods("/grpc.testing.TestService/EmptyCall")))
	cc := client(t, m)
	c := grpc_testing.NewTestServiceClient(cc)
	_, err := c.UnaryCall(t.Context(), payload(1))
	wantCode(t, "a method", err, codes.PermissionDenied)
	_, err = c.EmptyCall(t.Context(), new(grpc_testing.Empty))
	wantCode(t, "a public method", err, codes.OK)
	_, err = grpc_health_v1.NewHealthClient(cc).Check(t.Context(), new(grpc_health_v1.HealthCheckRequest))
	wantCode(t, "health", err, codes.OK)
	r, err := grpc_reflection_v1.NewServerReflectionClient(cc).ServerReflectionInfo(t.Context())
	if err == nil {
		r.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}})
		_, err = r.Recv()
	}
	wantCode(t, "reflection", err, codes.OK)
	for method, code := range map[string]codes.Code{
		"/grpc.testing.TestService/No": codes.Unimplemented, "/no.Service/Method": codes.Unimplemented, "/": codes.Unimplemented,
	} {
		err := cc.Invoke(t.Context(), method, new(grpc_testing.Empty), new(grpc_testing.Empty))
		wantCode(t, method, err, code)
	}
}

// A path without its leading slash is no spelling of a method (CVE-2026-33186).
func TestPathWithoutSlash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		called := false
		m := gateway(t, commgrpc.New(with(&service{unary: func(context.Context, *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
			called = true
			return new(grpc_testing.SimpleResponse), nil
		}})))
		c := newPeer(t, m, "gateway:80")
		c.WriteSettings()
		c.WriteHeaders(headers(1, call(":path", unaryCall[1:]), true)) // two paths
		c.WriteHeaders(headers(3, block(":method", "POST", ":scheme", "http", ":path", unaryCall[1:], ":authority", "x",
			"content-type", "application/grpc", "te", "trailers"), true))
		c.WriteData(3, true, []byte{0, 0, 0, 0, 0})
		time.Sleep(time.Second)
		if called {
			t.Error("it was called")
		}
	})
}

// Failed authentications are bounded for each address.
func TestFailedAuthIsLimited(t *testing.T) {
	t.Parallel()
	m := guarded(t, commgrpc.New(with(new(service))), comm.WithAuthenticator(byToken), comm.WithAuthorizer(annOnly), comm.WithFailedAuthBurst(3))
	overBoth(t, m, func(t *testing.T, call func(context.Context, *grpc_testing.SimpleRequest) error) {
		var last error
		for range 5 {
			last = call(as(t, "bad"), payload(1))
		}
		// In memory all have one address, so the second run finds it used up.
		wantCode(t, "the fifth", last, codes.ResourceExhausted)
	})
}

// Handlers learn who calls and where from; their context carries the trace on.
func TestFromContext(t *testing.T) {
	t.Parallel()
	var got *commgrpc.Caller
	var trace string
	s := &service{unary: func(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
		got, trace = commgrpc.FromContext(ctx), comm.Traceparent(ctx)
		return new(grpc_testing.SimpleResponse), nil
	}}
	m := guarded(t, commgrpc.New(with(s)), comm.WithAuthenticator(byToken), comm.WithAuthorizer(annOnly))
	overBoth(t, m, func(t *testing.T, call func(context.Context, *grpc_testing.SimpleRequest) error) {
		const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		if err := call(as(t, "ann", "x-tenant", "blue", "traceparent", parent), payload(1)); err != nil {
			t.Fatal(err)
		}
		if got == nil || got.Identity.User != "ann" || got.Identity.Labels["x"] != "blue" || got.Identity.Labels["host"] == "" ||
			got.Method != unaryCall || got.Addr == nil || got.Manager != m || got.TLS != nil {
			t.Errorf("%+v", got)
		}
		if len(trace) != len(parent) || trace[:36] != parent[:36] || trace == parent {
			t.Errorf("trace %q", trace)
		}
		select {
		case <-got.Leaving():
			t.Error("leaving")
		default:
		}
	})
	if commgrpc.FromContext(t.Context()) != nil {
		t.Error("a caller without a call")
	}
}

// A client certificate is in the handshake and with the caller, on the manager's address and on the provider's own.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	serverConf, clientConf := mutual(t)
	byCertificate := func(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
		if hs.TLS == nil || len(hs.TLS.VerifiedChains) == 0 {
			return comm.Identity{}, comm.ErrUnauthenticated
		}
		return comm.Identity{User: hs.TLS.VerifiedChains[0][0].Subject.CommonName}, nil
	}
	for name, own := range map[string]bool{"shared": false, "own": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got *commgrpc.Caller
			opts := []commgrpc.Option{with(&service{unary: func(ctx context.Context, _ *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
				got = commgrpc.FromContext(ctx)
				return new(grpc_testing.SimpleResponse), nil
			}})}
			managerOpts := []comm.Option{comm.WithAuthenticator(byCertificate), comm.WithAuthorizer(func(context.Context, *comm.Conn, comm.Access) error { return nil })}
			addr := "gateway:80"
			if own {
				addr = "gateway:9090"
				opts = append(opts, commgrpc.WithAddr(addr), commgrpc.WithTLS(serverConf))
			} else {
				managerOpts = append(managerOpts, comm.WithTLS(serverConf))
			}
			m := guarded(t, commgrpc.New(opts...), managerOpts...)
			c := grpc_testing.NewTestServiceClient(clientOf(t, m, addr, transportTLS(clientConf)))
			if _, err := c.UnaryCall(t.Context(), payload(1)); err != nil {
				t.Fatal(err)
			}
			if got.Identity.User != "ann" || got.TLS == nil || len(got.TLS.PeerCertificates) == 0 {
				t.Errorf("%+v", got)
			}
			bare := clientConf.Clone()
			bare.Certificates = nil
			_, err := grpc_testing.NewTestServiceClient(clientOf(t, m, addr, transportTLS(bare))).UnaryCall(t.Context(), payload(1))
			wantCode(t, "without a certificate", err, codes.Unavailable)
		})
	}
}

// journal is what was logged.
type journal struct {
	mu sync.Mutex
	bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.Buffer.Write(p)
}

func (j *journal) lines(of string) (list []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.String()) {
		if strings.Contains(line, of) {
			list = append(list, line)
		}
	}
	return list
}

// A panic is INTERNAL without a word of what it was, and logged once, with its stack.
func TestPanic(t *testing.T) {
	t.Parallel()
	logged := new(journal)
	s := &service{
		unary: func(context.Context, *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
			panic("no idea")
		},
		duplex: func(grpc.BidiStreamingServer[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]) error {
			panic("no idea")
		},
	}
	m := gateway(t, commgrpc.New(with(s)), comm.WithLogger(slog.New(slog.NewTextHandler(logged, nil))))
	overBoth(t, m, func(t *testing.T, call func(context.Context, *grpc_testing.SimpleRequest) error) {
		err := call(t.Context(), payload(1))
		wantCode(t, "unary", err, codes.Internal)
		if strings.Contains(err.Error(), "idea") {
			t.Errorf("the client is told %v", err)
		}
	})
	stream, err := testClient(t, m).FullDuplexCall(t.Context())
	if err == nil {
		_, err = stream.Recv()
	}
	wantCode(t, "stream", err, codes.Internal)
	eventually(t, "three lines", func() bool { return len(logged.lines("no idea")) == 3 })
	contains(t, logged.lines("no idea")[0], "level=ERROR", "method="+unaryCall, "guard_test.go", "provider=grpc")
	if list := logged.lines("call failed"); len(list) != 0 {
		t.Errorf("logged twice: %q", list)
	}
}

// Each call that fails is one line; the others are for debugging.
func TestLog(t *testing.T) {
	t.Parallel()
	logged := new(journal)
	s := &service{unary: func(_ context.Context, in *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
		switch in.GetResponseStatus().GetMessage() {
		case "fault":
			return nil, errors.New("the store is gone")
		case "client's":
			return nil, status.Error(codes.InvalidArgument, "no such day")
		}
		return new(grpc_testing.SimpleResponse), nil
	}}
	m := guarded(t, commgrpc.New(with(s)), comm.WithAuthenticator(byToken), comm.WithAuthorizer(annOnly),
		comm.WithLogger(slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	c := testClient(t, m)
	for _, text := range []string{"fault", "client's", ""} {
		c.UnaryCall(as(t, "ann"), &grpc_testing.SimpleRequest{ResponseStatus: &grpc_testing.EchoStatus{Message: text}})
	}
	c.UnaryCall(as(t, "eve"), payload(1))
	c.EmptyCall(as(t, "ann"), new(grpc_testing.Empty))
	c.UnaryCall(as(t, "bad"), payload(1))
	eventually(t, "six lines", func() bool { return len(logged.lines("code=")) == 6 })
	for code, want := range map[string][]string{
		"code=UNKNOWN":           {"level=WARN", "method=" + unaryCall, "user=ann", "took=", "remote=", "the store is gone"},
		"code=INVALID_ARGUMENT":  {"level=INFO", "no such day"},
		"code=OK":                {"level=DEBUG"},
		"code=PERMISSION_DENIED": {"level=INFO"},
		"code=UNAUTHENTICATED":   {"level=DEBUG"},
	} {
		contains(t, strings.Join(logged.lines(code), ""), want...)
	}
}

// What a stranger can do as often as he likes is not in the log: neither what is refused before it is known who calls, nor
// streams that are over before they begin, which are no fault of the service either.
func TestLogOfStrangers(t *testing.T) {
	t.Parallel()
	logged := new(journal)
	m := guarded(t, commgrpc.New(with(new(service)), commgrpc.WithCallRate(1000, 200)), comm.WithAuthenticator(byToken), comm.WithAuthorizer(annOnly),
		comm.WithLogger(slog.New(slog.NewTextHandler(logged, nil))))
	cc := client(t, m)
	for _, method := range []string{unaryCall, "/x.S/M", "/grpc.testing.TestService/X", "/comm.v1.HubService/GetStats", "/comm.v1.HubService/Connect"} {
		cc.Invoke(t.Context(), method, new(grpc_testing.Empty), new(grpc_testing.Empty))
	}
	_, err := grpc_health_v1.NewHealthClient(cc).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "x"})
	wantCode(t, "an unknown service", err, codes.NotFound)
	const streams = 100
	cancelAtOnce(t, m, "/comm.v1.HubService/Connect", "grpc-go/1.85", streams)
	for range 300 { // over the rate
		_, err = grpc_testing.NewTestServiceClient(cc).UnaryCall(t.Context(), payload(1))
	}
	wantCode(t, "over the rate", err, codes.ResourceExhausted)
	eventually(t, "all are counted", func() bool {
		s, err := m.Stats("grpc")
		return err == nil && s.Calls["/comm.v1.HubService/Connect"].Calls >= streams
	})
	if s, _ := m.Stats("grpc"); s.Calls["/comm.v1.HubService/Connect"].Failed > 0 {
		t.Errorf("failures of the service: %+v", s.Calls["/comm.v1.HubService/Connect"])
	}
	if list := logged.lines("call failed"); len(list) > 0 {
		t.Errorf("%d lines: %s", len(list), list[0])
	}
}

// cancelAtOnce opens streams for a method and resets each of them at once.
func cancelAtOnce(t *testing.T, m *comm.Manager, method, agent string, streams int) {
	t.Helper()
	c := dial(t, m, "gateway:80", "h2")
	defer c.Close()
	io.WriteString(c, http2.ClientPreface)
	f := http2.NewFramer(c, c)
	f.WriteSettings()
	answered := make(chan error)
	go func() { answered <- awaitPing(f) }()
	for n := range streams {
		id := uint32(2*n + 1)
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: callBlock(method, agent), EndHeaders: true})
		f.WriteData(id, false, []byte("\x00\x00\x00\x00\x01"))
		if err := f.WriteRSTStream(id, http2.ErrCodeCancel); err != nil {
			t.Fatal(err)
		}
	}
	f.WritePing(false, [8]byte{1})
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
}

// Errors of package comm have their own codes, and only theirs are told.
func TestErrorsOfHandlers(t *testing.T) {
	t.Parallel()
	var answer error
	m := gateway(t, commgrpc.New(with(&service{unary: func(context.Context, *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
		return nil, answer
	}})))
	c := testClient(t, m)
	for _, row := range []struct {
		err  error
		code codes.Code
	}{
		{comm.ErrForbidden, codes.PermissionDenied},
		{fmt.Errorf("looking: %w", comm.ErrNotFound), codes.NotFound},
		{comm.ErrUnauthenticated, codes.Unauthenticated},
		{comm.ErrClosed, codes.Unavailable},
		{&comm.LimitError{Limit: "orders", Max: 3}, codes.ResourceExhausted},
		{&comm.PeerError{Code: comm.CodeBadMessage, Message: "no such day"}, codes.InvalidArgument},
		{&comm.PeerError{Code: comm.CodeInternal, Message: "sorry"}, codes.Internal},
		{&comm.PeerError{Code: "sold_out", Message: "no more"}, codes.FailedPrecondition},
		{status.Error(codes.DataLoss, "gone"), codes.DataLoss},
		{fmt.Errorf("wrapped: %w", status.Error(codes.Aborted, "again")), codes.Aborted},
		{context.DeadlineExceeded, codes.DeadlineExceeded},
		{context.Canceled, codes.Canceled},
		{errors.New("other"), codes.Unknown},
	} {
		answer = row.err
		_, err := c.UnaryCall(t.Context(), payload(1))
		wantCode(t, row.err.Error(), err, row.code)
	}
}

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

// Calls past the rate of their address are told when to come back.
func TestCallRate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := gateway(t, commgrpc.New(with(new(service)), commgrpc.WithCallRate(10, 2)))
		c := testClient(t, m)
		var trailer metadata.MD
		ask := func() error {
			_, err := c.EmptyCall(t.Context(), new(grpc_testing.Empty), grpc.Trailer(&trailer))
			return err
		}
		wantCode(t, "first", ask(), codes.OK)
		wantCode(t, "second", ask(), codes.OK)
		wantCode(t, "third", ask(), codes.ResourceExhausted)
		if got := trailer.Get("grpc-retry-pushback-ms"); len(got) != 1 || got[0] != "100" {
			t.Errorf("pushback %q", got)
		}
		time.Sleep(100 * time.Millisecond)
		wantCode(t, "later", ask(), codes.OK)
	})
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

// Calls count by method and code, whatever transport they come by, and so do the native transport's bytes.
func TestMetrics(t *testing.T) {
	t.Parallel()
	m := gateway(t, commgrpc.New(with(new(service))))
	overBoth(t, m, func(t *testing.T, call func(context.Context, *grpc_testing.SimpleRequest) error) {
		call(t.Context(), payload(1000))
		call(t.Context(), &grpc_testing.SimpleRequest{ResponseStatus: &grpc_testing.EchoStatus{Code: int32(codes.DataLoss)}})
	})
	eventually(t, "the counts", func() bool {
		s, err := m.Stats("grpc")
		if err != nil {
			t.Fatal(err)
		}
		c := s.Calls[unaryCall]
		return c.Calls == 4 && c.Failed == 2 && c.Codes["OK"] == 2 && c.Codes["DATA_LOSS"] == 2 &&
			s.Requests == 4 && s.RequestsFailed == 2 && s.BytesIn > 1000 && s.BytesOut > 1000
	})
}

// mutual makes TLS configurations of a server and of a client "ann" that trust each other.
func mutual(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	pool := x509.NewCertPool()
	issue := newAuthority(t, pool)
	server = &tls.Config{Certificates: []tls.Certificate{issue("localhost")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	client = &tls.Config{Certificates: []tls.Certificate{issue("ann")}, RootCAs: pool, ServerName: "localhost"}
	return server, client
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

// ownHub is a service of the user's under the hub's name.
type ownHub struct {
	commv1.UnimplementedHubServiceServer
}

func (ownHub) GetStats(context.Context, *commv1.GetStatsRequest) (*commv1.GetStatsResponse, error) {
	return new(commv1.GetStatsResponse), nil
}

// The hub sees to rights by itself. A service in its place does not, so the guard has to.
func TestOwnHubService(t *testing.T) {
	t.Parallel()
	register := commgrpc.Register(func(r grpc.ServiceRegistrar) { commv1.RegisterHubServiceServer(r, ownHub{}) })
	m := guarded(t, commgrpc.New(commgrpc.WithoutHub(), register))
	_, err := commv1.NewHubServiceClient(client(t, m)).GetStats(t.Context(), new(commv1.GetStatsRequest))
	wantCode(t, "a service of the hub's name", err, codes.PermissionDenied)
}

// No spelling of a path finds a method that the authorizer was not asked about by its own name.
func TestOddPaths(t *testing.T) {
	t.Parallel()
	m := guarded(t, commgrpc.New(with(new(service))), comm.WithAuthorizer(func(_ context.Context, _ *comm.Conn, a comm.Access) error {
		if a.Method != unaryCall {
			return nil
		}
		return comm.ErrForbidden
	}))
	for _, agent := range []string{"grpc-go/1.85", "curl"} {
		for _, path := range []string{
			unaryCall, unaryCall[1:], "/" + unaryCall, "//" + unaryCall, "/grpc.testing.TestService//UnaryCall",
			"/grpc.testing.TestService%2FUnaryCall", "/grpc.testing.TestService/Unary%43all", "/GRPC.testing.TestService/UnaryCall",
			"/grpc.testing.TestService/unarycall", unaryCall + "/", unaryCall + "?x=1", unaryCall + "#x", unaryCall + "%00",
			"/x/../grpc.testing.TestService/UnaryCall", "/grpc.health.v1.Health/../grpc.testing.TestService/UnaryCall",
			"http://localhost" + unaryCall, "*", "/",
		} {
			if got := oddCall(t, m, path, agent); got == "0" {
				t.Errorf("%q by %s was answered", path, agent)
			}
		}
	}
}

// oddCall makes a call frame by frame, and returns its grpc-status, "" without one.
func oddCall(t *testing.T, m *comm.Manager, path, agent string) (code string) {
	t.Helper()
	c := dial(t, m, "gateway:80", "h2")
	defer c.Close()
	io.WriteString(c, http2.ClientPreface)
	f := http2.NewFramer(c, c)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, h := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":authority", "localhost"},
		{":path", path},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
		{"user-agent", agent},
	} {
		enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
	}
	f.WriteSettings()
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
	f.WriteData(1, true, []byte("\x00\x00\x00\x00\x00"))
	for {
		answer, err := f.ReadFrame()
		if err != nil {
			return code
		}
		switch answer := answer.(type) {
		case *http2.MetaHeadersFrame:
			for _, h := range answer.Fields {
				if h.Name == "grpc-status" {
					code = h.Value
				}
			}
			if answer.StreamEnded() {
				return code
			}
		case *http2.DataFrame:
			if answer.StreamEnded() {
				return code
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return code
		}
	}
}

// awaitPing reads until a ping is answered: what was sent before it has been read then.
func awaitPing(f *http2.Framer) error {
	for {
		answer, err := f.ReadFrame()
		if err != nil {
			return err
		}
		if p, ok := answer.(*http2.PingFrame); ok && p.IsAck() {
			return nil
		}
	}
}

// callBlock is the header of a call, as the first or a later one of its connection.
func callBlock(path, agent string) []byte {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, h := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":authority", "localhost"},
		{":path", path},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
		{"user-agent", agent},
	} {
		enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1], Sensitive: true}) // in no table
	}
	return block.Bytes()
}
