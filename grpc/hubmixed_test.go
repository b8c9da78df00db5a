package commgrpc_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// TestHubBesidePages: a stream on a connection that net/http serves, beside other requests, is a connection like all
// others, from its welcome to its status.
func TestHubBesidePages(t *testing.T) {
	t.Parallel()
	m := gateway(t, commgrpc.New())
	w := newWeb(t, m, true)
	w.page(t) // so that the connection is not the native transport's
	body, err := proto.Marshal(&commv1.SubscribeRequest{Groups: []string{"g"}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.scheme+"://localhost/comm.v1.HubService/Subscribe",
		bytes.NewReader(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("TE", "trailers")
	resp, err := w.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	p := &frames{t: t, recv: func() ([]*commv1.Frame, error) { return readMessage(resp.Body) }}
	conn := m.Connection(p.expect(commv1.Op_OP_WELCOME).GetWelcome().GetConn())
	p.expect(commv1.Op_OP_JOINED)
	for range 20 { // many times what gRPC's native transport would hold
		if _, err := m.Send(t.Context(), comm.ToGroup("g"), newMessage(t, "n", strings.Repeat("x", 50<<10))); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		p.expect(commv1.Op_OP_MESSAGE)
	}
	eventually(t, "bytes of the provider as of its connection", func() bool {
		s, err := m.Stats("grpc")
		own := conn.Stats().BytesOut
		return err == nil && own > 20*50<<10 && s.BytesOut == own
	})
	if err := conn.Kick(t.Context(), "enough"); err != nil {
		t.Fatal(err)
	}
	if f := p.expect(commv1.Op_OP_CLOSING); f.GetCode() != "kicked" {
		t.Errorf("closing %v", f)
	}
	if _, err := p.next(); err != io.EOF || resp.Trailer.Get("Grpc-Status") != "7" {
		t.Errorf("end %v, status %q, want 7 (PERMISSION_DENIED)", err, resp.Trailer.Get("Grpc-Status"))
	}
	if w.conns != 1 {
		t.Errorf("%d connections, want one", w.conns)
	}
}

// readMessage reads one message of Subscribe as it is on the wire.
func readMessage(r io.Reader) ([]*commv1.Frame, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[1:]))
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	m := new(commv1.SubscribeResponse)
	err := proto.Unmarshal(b, m)
	return m.GetFrames(), err
}
