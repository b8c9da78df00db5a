package commgrpc_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
)

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
	contains(t, logged.lines("no idea")[0], "level=ERROR", "method="+unaryCall, "report_test.go", "provider=grpc")
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
