package e2e

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// running is where the tools go: examples/gateway where run.sh has started it, else a gateway of this process.
func running(t *testing.T) string {
	t.Helper()
	if s := os.Getenv("GATEWAY_URL"); s != "" {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u.Host
	}
	return start(t, false, false).addr
}

// run runs a tool; gives what it printed and its exit status.
func run(t *testing.T, program string, args ...string) (out string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	b, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(b), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(b)), 0
}

// grpcurlRows are calls of grpcurl without address and security, and what it must print.
var grpcurlRows = []struct {
	name   string
	flags  []string
	args   []string
	want   []string
	status int // 64 and the code of gRPC where a call fails
}{
	{"list", nil, []string{"list"}, []string{"comm.v1.HubService", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"}, 0},
	{"methods", nil, []string{"list", "comm.v1.HubService"}, []string{"comm.v1.HubService.Connect", "comm.v1.HubService.Subscribe"}, 0},
	{"describe", nil, []string{"describe", "comm.v1.HubService"}, []string{
		"rpc Connect ( stream .comm.v1.ConnectRequest ) returns ( stream .comm.v1.ConnectResponse );",
		"rpc Subscribe ( .comm.v1.SubscribeRequest ) returns ( stream .comm.v1.SubscribeResponse );",
	}, 0},
	{"describe a message", nil, []string{"describe", ".comm.v1.Frame"}, []string{"message Frame {", ".comm.v1.Op op = 1;"}, 0},
	{"call", []string{"-d", `{"message":{"type":"x","to":"group:nobody","content":"e30="}}`}, []string{"comm.v1.HubService/Send"}, []string{`"delivery"`, `"id"`}, 0},
	{"call that fails", []string{"-d", `{"id":"nobody"}`}, []string{"comm.v1.HubService/CloseConnection"}, []string{"Code: NotFound"}, 64 + 5},
	{"stream", []string{"-max-time", "10", "-d", `{"groups":["tools"]}`}, []string{"comm.v1.HubService/Subscribe"}, []string{"OP_WELCOME", "OP_JOINED", "DeadlineExceeded"}, 64 + 4},
	{"both ways", []string{"-d", `{"frames":[{"op":"OP_HELLO","hello":{"version":1}},{"op":"OP_PING","id":"p"}]}`}, []string{"comm.v1.HubService/Connect"}, []string{"OP_CLOSING", `"code": "client"`}, 0}, // it ends its side behind the last message
	{"health", nil, []string{"grpc.health.v1.Health/Check"}, []string{`"status": "SERVING"`}, 0},
}

func TestGrpcurl(t *testing.T) {
	t.Parallel()
	program := tool(t, "github.com/fullstorydev/grpcurl/cmd/grpcurl")
	secure := start(t, true, false)
	for security, addr := range map[string]string{"-plaintext": running(t), "-insecure": secure.addr} {
		for _, row := range grpcurlRows {
			t.Run(row.name+" "+security, func(t *testing.T) {
				t.Parallel()
				args := append([]string{security}, row.flags...)
				out, status := run(t, program, append(append(args, addr), row.args...)...)
				for _, want := range row.want {
					if !strings.Contains(out, want) {
						t.Errorf("no %q in %s", want, out)
					}
				}
				if status != row.status {
					t.Errorf("exit status %d, want %d: %s", status, row.status, out)
				}
			})
		}
	}
}

func TestHealthProbe(t *testing.T) {
	t.Parallel()
	program := tool(t, "github.com/grpc-ecosystem/grpc-health-probe")
	secure := start(t, true, false)
	for addr, flags := range map[string][]string{running(t): nil, secure.addr: {"-tls", "-tls-no-verify"}} {
		for service, want := range map[string]int{"": 0, "comm.v1.HubService": 0, "none.such": 3} { // 3: the call has failed
			args := append(flags, "-connect-timeout", "1m", "-rpc-timeout", "1m", "-addr", addr, "-service", service)
			out, status := run(t, program, args...)
			if status != want || want == 0 && !strings.Contains(out, "SERVING") {
				t.Errorf("%s of %q: exit status %d, want %d: %s", flags, service, status, want, out)
			}
		}
	}
	if out, status := run(t, program, "-addr", "127.0.0.1:1", "-connect-timeout", "200ms"); status != 2 { // cannot connect
		t.Errorf("nobody there: exit status %d: %s", status, out)
	}
}
