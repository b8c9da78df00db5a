package commgrpc_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	commgrpc "github.com/anasamu/comm/grpc"
)

// mixedClient is grpc-go's client of a handler that net/http serves over TLS.
func mixedClient(t *testing.T, s *httptest.Server) testpb.TestServiceClient {
	t.Helper()
	conf := s.Client().Transport.(*http.Transport).TLSClientConfig
	cc, err := grpc.NewClient(s.Listener.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: conf.RootCAs, ServerName: "example.com"})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return testpb.NewTestServiceClient(cc)
}

func TestMixedNative(t *testing.T) {
	t.Parallel()
	s := startWeb(t, newWebHandler(t, &webService{}, commgrpc.WebSettings{MaxReceive: 1 << 20}), true)
	c := mixedClient(t, s)
	out, err := c.UnaryCall(t.Context(), &testpb.SimpleRequest{Payload: webPayload(strings.Repeat("u", 500_000))})
	if err != nil || len(out.GetPayload().GetBody()) != 500_000 {
		t.Fatal(err)
	}
	if _, err = c.UnaryCall(t.Context(), &testpb.SimpleRequest{Payload: webPayload(strings.Repeat("u", 2<<20))}); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message that is too long: %v", err)
	}
	both, err := c.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 * commgrpc.MaxAhead {
		want := fmt.Sprint("message ", i)
		if err := both.Send(&testpb.StreamingOutputCallRequest{Payload: webPayload(want)}); err != nil {
			t.Fatal(err)
		}
		if in, err := both.Recv(); err != nil || string(in.GetPayload().GetBody()) != want {
			t.Fatalf("%q came back, %v", in.GetPayload().GetBody(), err)
		}
	}
	if err := both.Send(&testpb.StreamingOutputCallRequest{Payload: webPayload(strings.Repeat("u", 2<<20))}); err != nil {
		t.Fatal(err)
	}
	if _, err := both.Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message of a stream that is too long: %v", err)
	}
}

// limited notes when more was read of a body than may be.
type limited struct {
	io.ReadCloser
	read, may atomic.Int64
	most      atomic.Int64 // that was read beyond what may be
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if over := l.read.Add(int64(n)) - l.may.Load(); over > l.most.Load() {
		l.most.Store(over)
	}
	return n, err
}

// What a client sends to a handler that does not take it stays with the client, and all of it comes when the
// handler does.
func TestMixedIsPaced(t *testing.T) {
	t.Parallel()
	const messages = 200
	m := &testpb.StreamingInputCallRequest{Payload: webPayload(strings.Repeat("p", 100_000))}
	size := int64(len(frame(t, 0, m)))
	service := &webService{step: make(chan struct{})}
	inner := newWebHandler(t, service, commgrpc.WebSettings{})
	var body limited
	body.may.Store(commgrpc.MaxAhead<<14 + size + 1<<14) // whole buffers, the message under way, and the last read
	s := startWeb(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body.ReadCloser, r.Body = r.Body, &body
		inner.ServeHTTP(w, r)
	}), true)
	in, err := mixedClient(t, s).StreamingInputCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() {
		var err error
		for range messages {
			err = errors.Join(err, in.Send(m))
		}
		sent <- err
	}()
	for range messages {
		body.may.Add(size)
		service.step <- struct{}{}
	}
	close(service.step)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	out, err := in.CloseAndRecv()
	if err != nil || out.GetAggregatedPayloadSize() != messages*100_000 {
		t.Errorf("%d bytes came, %v", out.GetAggregatedPayloadSize(), err)
	}
	if over := body.most.Load(); over > 0 {
		t.Errorf("%d bytes more than may waited for the handler", over)
	}
}

// pieces is a body of endless tiny pieces.
type pieces struct{ read int }

func (p *pieces) Read(b []byte) (int, error) {
	p.read++
	b[0] = 0 // heads of empty messages, or content
	return 1, nil
}

func (p *pieces) Close() error { return nil }

func TestPacedBodyWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := &pieces{}
		b := commgrpc.NewPaced(source, 100, true)
		reads, last := 0, make(chan error)
		go func() {
			for p := make([]byte, 16<<10); ; reads++ {
				if _, err := b.Read(p); err != nil {
					last <- err
					return
				}
			}
		}()
		synctest.Wait()
		if reads != commgrpc.MaxAhead || source.read != 5*reads {
			t.Errorf("%d reads of %d pieces came, with nothing taken", reads, source.read)
		}
		b.Taken()
		synctest.Wait()
		if reads != commgrpc.MaxAhead+1 {
			t.Errorf("%d reads came, with one taken", reads)
		}
		b.Close()
		if err := <-last; err == nil || !strings.Contains(err.Error(), "body closed by handler") {
			t.Errorf("it ends by %v", err)
		}
	})
}

// A piece is as full as can be, because the server has a buffer of 16 KiB for each.
func TestPacedBodyFills(t *testing.T) {
	t.Parallel()
	body := rawFrame(0, make([]byte, 10_000))
	b := commgrpc.NewPaced(io.NopCloser(iotest.OneByteReader(bytes.NewReader(body))), 10_000, true)
	p := make([]byte, 4_000)
	for _, want := range []int{4_000, 4_000, 2_005} {
		if n, err := b.Read(p); n != want || err != nil {
			t.Errorf("%d bytes, %v; want %d", n, err, want)
		}
	}
	if n, err := b.Read(p); n != 0 || err != io.EOF {
		t.Errorf("%d bytes, %v at the end", n, err)
	}
}

// A message that the server will refuse is not read, and a method of one message has no second one.
func TestPacedBodyRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := commgrpc.NewPaced(io.NopCloser(io.MultiReader(bytes.NewReader([]byte{0, 0, 0, 0, 101}), &pieces{})), 100, true)
		p := make([]byte, 1<<10)
		if n, err := b.Read(p); n != 5 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		for range 2 {
			if n, err := b.Read(p); n != 0 || err == nil || !strings.Contains(err.Error(), "larger than max_recv_msg_size, 100 bytes") {
				t.Errorf("what is too long goes on: %d bytes, %v", n, err)
			}
		}

		b = commgrpc.NewPaced(&pieces{}, 100, false)
		var err error
		for range 3 {
			_, err = b.Read(p)
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("messages without an end: %v", err)
		}
	})
}

// Streams that are reset at once leave nothing behind on net/http either. It is not parallel, for it measures memory.
func TestResetsLeaveNothing(t *testing.T) {
	m := gateway(t, commgrpc.New())
	before := heap()
	const streams = 4_000
	for range 4 { // a connection with 1,000 handlers that have not begun is ended by net/http
		cancelAtOnce(t, m, "/comm.v1.HubService/Connect", "curl", streams/4)
	}
	kept := int64(0)
	defer func() { t.Logf("%d bytes for each of %d streams", kept/streams, streams) }()
	eventually(t, "the memory of the streams", func() bool { // the last ones end behind their client
		kept = heap() - before
		return kept <= 700*streams
	})
}

// heap is how many bytes are in use once all that can go has gone.
func heap() int64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
