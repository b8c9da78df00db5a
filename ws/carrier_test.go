package ws_test

import (
	"net"
	"sync/atomic"
	"testing"

	"github.com/anasamu/comm/ws"
)

// wrapped is a listener's wrapper that lets I/O go beneath it when bare is set.
type wrapped struct {
	net.Conn
	bare   bool
	reads  atomic.Int32
	closed atomic.Bool
}

func (w *wrapped) BareConn() (net.Conn, bool) { return w.Conn, w.bare }

func (w *wrapped) Read(p []byte) (int, error) {
	w.reads.Add(1)
	return w.Conn.Read(p)
}

func (w *wrapped) Close() error {
	w.closed.Store(true)
	return w.Conn.Close()
}

func TestWrappersAreReadThroughOnlyIfTheySaySo(t *testing.T) {
	t.Parallel()
	for _, bare := range []bool{false, true} {
		near, far := loopback(t)
		w := &wrapped{Conn: far, bare: bare}
		server, err := ws.NewConn(w, ws.Server)
		if err != nil {
			t.Fatal(err)
		}
		client, err := ws.NewConn(near, ws.Client)
		if err != nil {
			t.Fatal(err)
		}
		go client.Write(t.Context(), ws.Text, []byte("x"))
		if _, p, err := server.Read(t.Context(), nil); err != nil || string(p) != "x" {
			t.Fatalf("%q, %v", p, err)
		}
		if ws.Direct(server) && w.reads.Load() > 0 || !bare && w.reads.Load() == 0 {
			t.Errorf("bare %v: %d reads through the wrapper", bare, w.reads.Load())
		}
		server.CloseNow()
		client.CloseNow()
		if !w.closed.Load() {
			t.Error("the wrapper was not closed")
		}
	}
}

// loopback is both ends of a TCP connection.
func loopback(t testing.TB) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if near, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}
