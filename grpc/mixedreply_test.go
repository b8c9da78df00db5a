package commgrpc_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	"github.com/anasamu/comm/grpc/comm/v1"
)

// largeReply is a service that answers with a message of 300,000 bytes.
func largeReply() commgrpc.Option {
	return with(&service{unary: func(context.Context, *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
		return &grpc_testing.SimpleResponse{Payload: payload(300_000).GetPayload()}, nil
	}})
}

// reading makes a unary call by net/http and gives its answer room each time the pause has passed. It returns how many
// bytes of body came, the status, and whether the stream was reset.
func reading(t *testing.T, m *comm.Manager, pause time.Duration) (body int, status string, reset bool) {
	t.Helper()
	p := newPeer(t, m, "gateway:80")
	defer p.conn.Close()
	p.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.WriteSettings()
	p.WriteHeaders(headers(1, callTo(unaryCall, "application/grpc", "curl"), true))
	p.WriteData(1, true, rawFrame(0, nil))
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-time.After(pause):
				p.WriteWindowUpdate(0, 32<<10)
				p.WriteWindowUpdate(1, 32<<10)
			case <-done:
				return
			}
		}
	}()
	for {
		f, err := p.ReadFrame()
		if err != nil {
			t.Fatalf("%d bytes came, then %v", body, err)
		}
		switch f := f.(type) {
		case *http2.DataFrame:
			body += len(f.Data())
		case *http2.MetaHeadersFrame:
			for _, h := range f.Fields {
				if h.Name == "grpc-status" {
					status = h.Value
				}
			}
			if f.StreamEnded() {
				return body, status, false
			}
		case *http2.RSTStreamFrame:
			return body, status, true
		}
	}
}

// A client that takes nothing of an answer loses it when the write timeout has passed, also where net/http carries the
// call; one that is slow has all of it.
func TestStalledReply(t *testing.T) {
	for name, row := range map[string]struct {
		pause time.Duration
		reset bool
	}{"stalled": {time.Hour, true}, "slow": {2 * time.Second, false}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m := gateway(t, commgrpc.New(largeReply()), comm.WithWriteTimeout(5*time.Second), comm.WithHeartbeat(time.Hour))
				start := time.Now()
				body, status, reset := reading(t, m, row.pause)
				took := time.Since(start)
				switch {
				case reset != row.reset, !reset && (body < 300_000 || status != "0"), reset && took != 5*time.Second:
					t.Errorf("after %v %d bytes, status %q, reset %v", took, body, status, reset)
				}
			})
		})
	}
}

// A stream of the hub that is not read holds nothing for longer than its end may take, over net/http too.
func TestStalledHubStreamOverHTTP(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := gateway(t, commgrpc.New(commgrpc.WithNative(false)), comm.WithWriteTimeout(5*time.Second))
		c := hubClient(t, m, grpc.WithStaticStreamWindowSize(64<<10))
		id := connect(t, c, hello()).expect(commv1.Op_OP_WELCOME).GetWelcome().GetConn()
		conn := m.Connection(id)
		for range 30 {
			if _, err := m.Send(t.Context(), comm.ToConn(id), newMessage(t, "n", strings.Repeat("x", 8<<10))); err != nil {
				t.Fatal(err)
			}
		}
		<-conn.Done()
		if comm.ReasonOf(conn.Err()) != comm.ReasonSlow {
			t.Errorf("it ended with %v", conn.Err())
		}
		time.Sleep(6 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.Stop(ctx, "grpc"); err != nil {
			t.Errorf("the request is still under way: %v", err)
		}
	})
}
