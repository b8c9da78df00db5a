package listen_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/anasamu/comm/internal/listen"
	"github.com/anasamu/comm/internal/memnet"
)

// TestReplayShowsWhatItMay checks what a replayed connection offers beside net.Conn.
func TestReplayShowsWhatItMay(t *testing.T) {
	t.Parallel()
	peer, own := memnet.Pipe()
	defer peer.Close()
	io.WriteString(peer, "hello")
	pc := listen.NewPeekConn(own, 100, nil)
	if _, err := pc.Peek(2); err != nil {
		t.Fatal(err)
	}
	c := pc.Replay()
	defer c.Close()
	below := c.(interface{ NetConn() net.Conn })
	if below.NetConn() != nil {
		t.Error("gives way with bytes still to replay")
	}
	// All five bytes came with the first read, so all five are replayed.
	buf := make([]byte, 3)
	for _, want := range []string{"hel", "lo"} {
		n, err := c.Read(buf)
		if string(buf[:n]) != want || err != nil {
			t.Errorf("read %q, %v; want %q", buf[:n], err, want)
		}
	}
	if below.NetConn() != net.Conn(own) {
		t.Error("does not give way with everything replayed")
	}
	if _, ok := listen.TCPConn(c); ok {
		t.Error("claims to rest on TCP")
	}

	if n, err := io.Copy(c, strings.NewReader("world")); n != 5 || err != nil {
		t.Errorf("copy: %d, %v", n, err)
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Errorf("half-close: %v", err)
	}
	if got, err := io.ReadAll(peer); string(got) != "world" || err != nil {
		t.Errorf("peer read %q, %v", got, err)
	}
	io.WriteString(peer, "!")
	if n, err := c.Read(buf); n != 1 || err != nil {
		t.Errorf("read after half-close: %d, %v", n, err)
	}
}
