package commquic_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
	commquic "github.com/anasamu/comm/quic"
)

func greeting(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

// BenchmarkHTTP3Get is GET over one connection, through the gateway and through a bare http3.Server.
func BenchmarkHTTP3Get(b *testing.B) {
	b.Run("gateway", func(b *testing.B) {
		m := gateway(b, commquic.New(), comm.WithProvider(commhttp.New(commhttp.HandleFunc("GET /hello", greeting))))
		getAll(b, addrOf(b, m))
	})
	b.Run("bare", func(b *testing.B) {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /hello", greeting)
		conf := http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{certificate().TLS}})
		socket, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		s := &http3.Server{TLSConfig: conf, Handler: mux, QUICConfig: &quic.Config{}}
		done := make(chan struct{})
		go func() { defer close(done); _ = s.Serve(socket) }()
		defer func() { _ = s.Close(); <-done; _ = socket.Close() }()
		getAll(b, socket.LocalAddr().String())
	})
}

func getAll(b *testing.B, addr string) {
	tr := &http3.Transport{TLSClientConfig: certificate().Client()}
	defer tr.Close()
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://"+addr+"/hello", nil)
			if err != nil {
				b.Error(err)
				return
			}
			resp, err := tr.RoundTrip(r)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// BenchmarkWebTransportEcho is 64 bytes there and back: on one stream, and in datagrams.
func BenchmarkWebTransportEcho(b *testing.B) {
	sessions := make(chan *commquic.WebTransportSession, 1)
	m := gateway(b, commquic.New(), comm.WithProvider(commhttp.New(commhttp.HandleFunc("/s", func(w http.ResponseWriter, r *http.Request) {
		if s, err := commquic.UpgradeWebTransport(w, r); err == nil {
			sessions <- s
		}
	}))))
	s, _, err := commquic.DialWebTransport(b.Context(), "https://"+addrOf(b, m)+"/s", trusting()...)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.CloseWithError(0, "") }()
	peer := <-sessions
	buf, payload := make([]byte, 64), make([]byte, 64)
	b.Run("stream", func(b *testing.B) {
		go func() {
			if str, err := peer.AcceptStream(context.Background()); err == nil {
				_, _ = io.Copy(str, str)
			}
		}()
		str, err := s.OpenStream()
		if err != nil {
			b.Fatal(err)
		}
		defer str.CancelRead(0)
		defer str.Close()
		b.ReportAllocs()
		for b.Loop() {
			_, _ = str.Write(payload)
			if _, err := io.ReadFull(str, buf); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("datagram", func(b *testing.B) {
		go func() {
			for {
				p, err := peer.ReceiveDatagram(context.Background())
				if err != nil {
					return
				}
				_ = peer.SendDatagram(p)
			}
		}()
		b.ReportAllocs()
		for b.Loop() {
			_ = s.SendDatagram(payload)
			if _, err := s.ReceiveDatagram(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
