package commgrpc_test

import (
	"bufio"
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
)

// peer is the client's end of an HTTP/2 connection, frame by frame.
type peer struct {
	*http2.Framer
	conn net.Conn
}

func newPeer(t testing.TB, m *comm.Manager, addr string) *peer {
	t.Helper()
	c := dial(t, m, addr, "h2")
	io.WriteString(c, commgrpc.Preface)
	return &peer{http2.NewFramer(c, bufio.NewReader(c)), c}
}

// until reads to the first frame of a kind.
func until[F http2.Frame](t testing.TB, p *peer) (f F) {
	t.Helper()
	for {
		got, err := p.ReadFrame()
		if err != nil {
			t.Fatalf("the connection ended without %T: %v", f, err)
		}
		if f, ok := got.(F); ok {
			return f
		}
	}
}

// awaitPing reads until a ping is answered: what was sent before it has been read then.
func (p *peer) awaitPing() error {
	for {
		answer, err := p.ReadFrame()
		if err != nil {
			return err
		}
		if ping, ok := answer.(*http2.PingFrame); ok && ping.IsAck() {
			return nil
		}
	}
}

// callTo is the header of a call of a path, by a client that calls itself so.
func callTo(path, media, agent string) []byte {
	return block(":method", "POST", ":scheme", "http", ":authority", "localhost", ":path", path,
		"content-type", media, "te", "trailers", "user-agent", agent)
}

// answer is what a call has come to.
type answer struct {
	fields map[string]string // headers and trailers
	body   []byte
}

// ask makes a call frame by frame, on a connection of its own.
func ask(t *testing.T, m *comm.Manager, header, message []byte) (a answer) {
	t.Helper()
	p := newPeer(t, m, "gateway:80")
	defer p.conn.Close()
	p.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.WriteSettings()
	p.WriteHeaders(headers(1, header, true))
	p.WriteData(1, true, rawFrame(0, message))
	a.fields = make(map[string]string)
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return a
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			for _, h := range f.Fields {
				a.fields[h.Name] = h.Value
			}
		case *http2.DataFrame:
			a.body = append(a.body, f.Data()...)
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return a
		}
		if end, ok := f.(interface{ StreamEnded() bool }); ok && end.StreamEnded() {
			return a
		}
	}
}

// cancelAtOnce opens streams for a method and resets each of them at once.
func cancelAtOnce(t *testing.T, m *comm.Manager, method, agent string, streams int) {
	t.Helper()
	p := newPeer(t, m, "gateway:80")
	defer p.conn.Close()
	p.WriteSettings()
	answered := make(chan error)
	go func() { answered <- p.awaitPing() }()
	for n := range streams {
		id := uint32(2*n + 1)
		p.WriteHeaders(headers(id, callTo(method, "application/grpc", agent), true))
		p.WriteData(id, false, []byte("\x00\x00\x00\x00\x01"))
		if err := p.WriteRSTStream(id, http2.ErrCodeCancel); err != nil {
			t.Fatal(err)
		}
	}
	p.WritePing(false, [8]byte{1})
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
}
