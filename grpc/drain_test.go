package commgrpc_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
)

// slow is a service whose unary calls take as long as they are asked to, in milliseconds, if nobody cuts them.
func slow() *service {
	return &service{unary: func(ctx context.Context, in *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
		select {
		case <-time.After(time.Duration(in.GetResponseSize()) * time.Millisecond):
			return new(grpc_testing.SimpleResponse), nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}}
}

func taking(d time.Duration) *grpc_testing.SimpleRequest {
	return &grpc_testing.SimpleRequest{ResponseSize: int32(d.Milliseconds())}
}

// A drain lets calls under way finish, over either transport, and refuses new ones.
func TestDrainWaitsForCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := gateway(t, commgrpc.New(with(slow())))
		native, w := testClient(t, m), newWeb(t, m, true)
		ends := make(chan error, 2)
		go func() { _, err := native.UnaryCall(t.Context(), taking(3*time.Second)); ends <- err }()
		go func() { ends <- w.call(t, unaryCall, taking(4*time.Second), nil, nil) }()
		synctest.Wait()
		time.Sleep(time.Second)
		start := time.Now()
		if err := m.Drain(t.Context()); err != nil {
			t.Errorf("Drain: %v", err)
		}
		if took := time.Since(start); took < 3*time.Second || took > 4*time.Second { // net/http looks from time to time
			t.Errorf("the drain took %v", took)
		}
		for range 2 {
			if err := <-ends; err != nil {
				t.Errorf("a call under way: %v", err)
			}
		}
		_, err := native.UnaryCall(t.Context(), taking(0))
		wantCode(t, "a new call", err, codes.Unavailable)
	})
}

// The clients of the native transport are told to go when the drain begins, while HTTP requests still hold it up.
func TestDrainTellsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := gateway(t, commgrpc.New(with(slow())))
		cc := client(t, m)
		c, w := grpc_testing.NewTestServiceClient(cc), newWeb(t, m, true)
		if _, err := c.UnaryCall(t.Context(), taking(0)); err != nil {
			t.Fatal(err)
		}
		go w.call(t, unaryCall, taking(10*time.Second), nil, nil)
		synctest.Wait()
		go m.Drain(t.Context())
		time.Sleep(time.Second)
		synctest.Wait()
		if got := cc.GetState(); got == connectivity.Ready {
			t.Errorf("a second into the drain the client is %v", got)
		}
	})
}

// What does not end by itself is cut when the time is over, and Drain says so.
func TestDrainCuts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := gateway(t, commgrpc.New(with(slow())))
		native, w := testClient(t, m), newWeb(t, m, true)
		ends := make(chan error, 1)
		go func() { _, err := native.UnaryCall(t.Context(), taking(time.Hour)); ends <- err }()
		stream, err := native.FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://localhost"+unaryCall, strings.NewReader("\x00\x00\x00\x00\x03\x10\x80\x7f"))
			req.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
			if resp, err := w.Do(req); err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		if err := m.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain: %v", err)
		}
		if took := time.Since(start); took > 7*time.Second {
			t.Errorf("the drain took %v", took)
		}
		wantCode(t, "the call", <-ends, codes.Unavailable)
		_, err = stream.Recv()
		wantCode(t, "the stream", err, codes.Unavailable)
	})
}

// A handler that does not notice that its call was cut holds nobody up for more than a moment.
func TestDrainLeavesStuckHandlers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		m := gateway(t, commgrpc.New(with(&service{unary: func(context.Context, *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
			<-release
			return new(grpc_testing.SimpleResponse), nil
		}})))
		c := testClient(t, m)
		go c.UnaryCall(t.Context(), payload(1))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		err := m.Drain(ctx)
		if took := time.Since(start); err == nil || took > 10*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		close(release)
	})
}

// A stream that looks at Leaving ends itself, in good order.
func TestLeaving(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := gateway(t, commgrpc.New(with(&service{duplex: func(s grpc.BidiStreamingServer[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]) error {
			<-commgrpc.FromContext(s.Context()).Leaving()
			return s.Send(new(grpc_testing.StreamingOutputCallResponse))
		}})))
		s, err := testClient(t, m).FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		if err := m.Drain(t.Context()); err != nil || time.Since(start) > time.Second {
			t.Errorf("Drain: %v after %v", err, time.Since(start))
		}
		_, err = s.Recv()
		wantCode(t, "its last word", err, codes.OK)
		if _, err = s.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("its end: %v", err)
		}
	})
}

// A stream that ends because the gateway does is no failure of its service. One that is unavailable before is.
func TestLeavingIsNoFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		logged := new(journal)
		m := gateway(t, commgrpc.New(with(&service{duplex: func(s grpc.BidiStreamingServer[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]) error {
			if _, err := s.Recv(); err != nil { // nothing more is asked
				return status.Error(codes.Unavailable, "no store")
			}
			<-commgrpc.FromContext(s.Context()).Leaving()
			return status.Error(codes.Unavailable, "going away")
		}})), comm.WithLogger(slog.New(slog.NewTextHandler(logged, nil))))
		c := testClient(t, m)
		broken, err := c.FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		broken.CloseSend()
		_, err = broken.Recv()
		wantCode(t, "a failure", err, codes.Unavailable)
		lasting, err := c.FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lasting.Send(new(grpc_testing.StreamingOutputCallRequest))
		synctest.Wait()
		if err := m.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		_, err = lasting.Recv()
		wantCode(t, "its end", err, codes.Unavailable)
		if list := logged.lines("call failed"); len(list) != 1 || !strings.Contains(list[0], "no store") {
			t.Errorf("%q", list)
		}
	})
}

// The streams of health and reflection would go on for ever; a drain ends them, so that it need not wait.
func TestDrainEndsOwnStreams(t *testing.T) {
	bubble(t, func(t *testing.T) {
		logged := new(journal)
		m := gateway(t, commgrpc.New(with(new(service))), comm.WithDrainDelay(10*time.Second), comm.WithLogger(slog.New(slog.NewTextHandler(logged, nil))))
		cc := client(t, m)
		watch, err := grpc_health_v1.NewHealthClient(cc).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "grpc.testing.TestService"})
		if err != nil {
			t.Fatal(err)
		}
		reflection, err := grpc_reflection_v1.NewServerReflectionClient(cc).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		next := func() grpc_health_v1.HealthCheckResponse_ServingStatus {
			resp, err := watch.Recv()
			if err != nil {
				t.Fatal(err)
			}
			return resp.GetStatus()
		}
		if got := next(); got != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("before: %v", got)
		}
		start := time.Now()
		drained := make(chan error, 1)
		go func() { drained <- m.Drain(t.Context()) }()
		if got := next(); got != grpc_health_v1.HealthCheckResponse_NOT_SERVING || time.Since(start) != 0 {
			t.Errorf("during the delay: %v after %v", got, time.Since(start))
		}
		_, err = watch.Recv()
		wantCode(t, "watch", err, codes.Unavailable)
		_, err = reflection.Recv()
		wantCode(t, "reflection", err, codes.Unavailable)
		if err := <-drained; err != nil || time.Since(start) > 11*time.Second {
			t.Errorf("Drain: %v after %v", err, time.Since(start))
		}
		if lines := logged.lines("call failed"); len(lines) != 0 {
			t.Errorf("logged as failures: %q", lines)
		}
	})
}

// A stopped provider starts again, with its services as they were; meanwhile its neighbours serve on.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := new(service)
	p := commgrpc.New(with(s))
	m := gateway(t, p)
	if p.Server() == nil {
		t.Fatal("no server")
	}
	for range 3 {
		overBoth(t, m, func(t *testing.T, call func(context.Context, *grpc_testing.SimpleRequest) error) {
			wantCode(t, "while it runs", call(t.Context(), payload(1)), codes.OK)
		})
		w := newWeb(t, m, true)
		if err := m.Stop(t.Context(), "grpc"); err != nil {
			t.Fatal(err)
		}
		if err := p.Health(t.Context()); !errors.Is(err, comm.ErrStopped) || p.Server() != nil {
			t.Errorf("stopped: %v", err)
		}
		if err := w.call(t, unaryCall, payload(1), nil, nil); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("stopped: %v", err)
		}
		_, err := testClient(t, m).UnaryCall(t.Context(), payload(1))
		wantCode(t, "stopped, by a gRPC library", err, codes.Unavailable)
		if got := w.page(t); got != "page over HTTP/2.0" {
			t.Error(got)
		}
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Health follows the gateway, the provider and the user's word.
func TestHealth(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := commgrpc.New(with(new(service)))
		m := gateway(t, p)
		cc := client(t, m)
		h := grpc_health_v1.NewHealthClient(cc)
		const name = "grpc.testing.TestService"
		check := func(when string, want map[string]grpc_health_v1.HealthCheckResponse_ServingStatus) {
			t.Helper()
			synctest.Wait()
			for service, status := range want {
				resp, err := h.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
				if err != nil || resp.GetStatus() != status {
					t.Errorf("%s: %q: %v, %v, want %v", when, service, resp.GetStatus(), err, status)
				}
			}
		}
		const yes, no = grpc_health_v1.HealthCheckResponse_SERVING, grpc_health_v1.HealthCheckResponse_NOT_SERVING
		check("started", map[string]grpc_health_v1.HealthCheckResponse_ServingStatus{"": yes, name: yes})
		if err := m.Stop(t.Context(), "http"); err != nil {
			t.Fatal(err)
		}
		check("another provider stopped", map[string]grpc_health_v1.HealthCheckResponse_ServingStatus{"": no, name: yes})
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("and started", map[string]grpc_health_v1.HealthCheckResponse_ServingStatus{"": yes, name: yes})
		p.SetServingStatus(name, no)
		p.SetServingStatus("database", yes)
		check("the user says", map[string]grpc_health_v1.HealthCheckResponse_ServingStatus{"": yes, name: no, "database": yes})
		p.SetServingStatus(name, yes)
		check("and takes it back", map[string]grpc_health_v1.HealthCheckResponse_ServingStatus{name: yes})
		_, err := h.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "unheard.of"})
		wantCode(t, "a name that nobody knows", err, codes.NotFound)
		list, err := h.List(t.Context(), new(grpc_health_v1.HealthListRequest))
		if err != nil || len(list.GetStatuses()) != 4 { // the hub too
			t.Errorf("list: %v, %v", list, err)
		}
	})
}
