package commquic_test

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/quic-go/quic-go/http3"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
	commquic "github.com/anasamu/comm/quic"
	"github.com/anasamu/comm/ws"
)

// A handler of the gateway turns requests into sessions of its own, and a Go client opens one.
func ExampleUpgradeWebTransport() {
	server, client, _, err := commquic.DevelopmentTLS()
	if err != nil {
		fmt.Println(err)
		return
	}
	upper := func(w http.ResponseWriter, r *http.Request) {
		s, err := commquic.UpgradeWebTransport(w, r)
		if err != nil {
			return // it has answered
		}
		str, err := s.AcceptStream(s.Context())
		if err != nil {
			return
		}
		_, _ = io.Copy(str, str)
		_ = str.Close()
		b, _ := s.ReceiveDatagram(s.Context())
		_ = s.CloseWithError(7, "after "+string(b))
	}
	m, err := comm.New(
		comm.WithAddr("127.0.0.1:0"), comm.WithTLS(server), comm.WithOpenAccess(), comm.WithLogger(quiet),
		comm.WithProvider(commhttp.New(commhttp.HandleFunc("/sessions", upper)), commquic.New()),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	if err := m.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	addrs, _ := m.Addrs("quic")
	s, _, err := commquic.DialWebTransport(context.Background(), "https://"+addrs[0]+"/sessions", commquic.WithTLS(client))
	if err != nil {
		fmt.Println(err)
		return
	}
	str, err := s.OpenStream()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprint(str, "hello")
	_ = str.Close()
	b, _ := io.ReadAll(str)
	fmt.Println(string(b))
	_ = s.SendDatagram([]byte("bye"))
	<-s.Context().Done()
	fmt.Println(context.Cause(s.Context()))
	// Output:
	// hello
	// commquic: WebTransport session closed by the peer with code 7: after bye
}

// A WebSocket over HTTP/3 to the gateway's WebSocket provider.
func ExampleExtendedConnect() {
	server, client, _, err := commquic.DevelopmentTLS()
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := comm.New(
		comm.WithAddr("127.0.0.1:0"), comm.WithTLS(server), comm.WithOpenAccess(), comm.WithLogger(quiet),
		comm.WithProvider(ws.New(), commquic.New()),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	if err := m.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	t := &http3.Transport{TLSClientConfig: client}
	defer t.Close()
	addrs, _ := m.Addrs("websocket")
	c, resp, err := ws.Dial(context.Background(), "wss://"+addrs[0]+"/ws", ws.WithRoundTripper(commquic.ExtendedConnect(t)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.CloseNow()
	fmt.Println(resp.Proto, resp.StatusCode)
	// Output: HTTP/3.0 200
}
