package commgrpc_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	commgrpc "github.com/anasamu/comm/grpc"
)

// gRPC-Web on the manager's address: the hub's stream, and its end by the client's timeout.
func TestProviderServesWeb(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := gateway(t, commgrpc.New())
		c, err := m.DialContext(t.Context(), "tcp", "gateway:80")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		start := time.Now()
		send(t, c, "POST /comm.v1.HubService/Subscribe HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/grpc-web-text\r\n"+
			"Grpc-Timeout: 90S\r\nContent-Length: 8\r\n\r\nAAAAAAA=")
		res := readResponse(t, c)
		f := readWeb(t, res)
		if res.StatusCode != http.StatusOK || len(f.messages) == 0 || f.trailers["grpc-status"] != "4" {
			t.Errorf("status %d, %d messages, trailers %q", res.StatusCode, len(f.messages), f.trailers)
		}
		if took := time.Since(start); took != 90*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A page of another origin is answered by the manager's policy.
func TestProviderChecksOrigins(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := gateway(t, commgrpc.New())
		c, err := m.DialContext(t.Context(), "tcp", "gateway:80")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		send(t, c, "POST /comm.v1.HubService/GetStats HTTP/1.1\r\nHost: gateway\r\nOrigin: https://evil.example\r\n"+
			"Content-Type: application/grpc-web\r\nContent-Length: 5\r\n\r\n\x00\x00\x00\x00\x00")
		res := readResponse(t, c)
		b, _ := io.ReadAll(res.Body)
		if res.StatusCode != http.StatusForbidden || res.Header.Get("Grpc-Status") != "7" || !strings.Contains(res.Header.Get("Grpc-Message"), "evil.example") || len(b) > 0 {
			t.Errorf("status %d, %q, %q", res.StatusCode, res.Header, b)
		}
	})
}
