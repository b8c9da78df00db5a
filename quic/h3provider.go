package commquic

import (
	"context"
	"fmt"
	"net"

	"github.com/quic-go/quic-go"

	"github.com/anasamu/comm"
)

// DefaultWebTransportPath is where clients open WebTransport sessions.
const DefaultWebTransportPath = "/wt"

// WithoutHTTP3 leaves HTTP/3, and with it WebTransport, out: the provider serves comm/1 alone.
func WithoutHTTP3() Option {
	return option(func(p *Provider) error { p.conf.HTTP3 = false; return nil })
}

// WithWebTransportPath sets where clients open WebTransport sessions. The default is /wt; an empty path has none.
func WithWebTransportPath(path string) Option {
	return option(func(p *Provider) error { p.conf.WebTransportPath = path; return nil })
}

// WithMaxSessions sets how many WebTransport sessions one connection may have at once, 1 to 1,024. The default is 16.
func WithMaxSessions(n int) Option {
	return option(func(p *Provider) error { p.conf.MaxSessions = n; return nil })
}

// h3 is the HTTP/3 of one start of a provider.
type h3 struct {
	Server
	cancel context.CancelFunc // ends handshakes of sessions under way
}

// http3 makes what serves HTTP/3 for one start, or nil if it is not served: then it is not offered either.
func (p *Provider) http3(h comm.Host, raw *rawServer) (*h3, error) {
	if !p.conf.HTTP3 {
		return nil, nil
	}
	ctx, cancel := context.WithCancel(h.Context())
	s := &h3{Server{
		Handler: h.Handler(), HeaderTimeout: h.Settings().HandshakeTimeout, Logger: h.Logger(),
		MaxSessions: p.conf.MaxSessions, SessionStreams: p.conf.MaxStreams, SessionWindow: int(p.conf.ConnectionWindow),
	}, cancel}
	if path := p.conf.WebTransportPath; path != "" {
		if err := h.Route(path, &carrier{ctx, h, raw}); err != nil {
			cancel()
			return nil, err
		}
	}
	return s, nil
}

// serve serves one connection until it ends, or ctx does.
func (s *h3) serve(ctx context.Context, c *quic.Conn) error { return s.ServeConn(ctx, c) }

// shutdown refuses new requests and lets those under way end, until ctx does.
func (s *h3) shutdown(ctx context.Context) {
	s.cancel()
	_ = s.Shutdown(ctx) // what did not end is cut
}

// SharesRoutes makes the routes of the manager's address reachable at the provider's own: over HTTP/3, and over TLS on
// TCP, where Alt-Svc announces it.
func (p *Provider) SharesRoutes() bool { return p.conf.HTTP3 }

// AltService announces HTTP/3 (RFC 7838, RFC 9114 3.1.1) on the listener that has the same port as the provider.
func (p *Provider) AltService(listener net.Addr) string {
	a := p.announced.Load()
	if a == nil || portOf(listener) != a.port {
		return ""
	}
	return a.value
}

// announcement is what AltService tells while the provider runs.
type announcement struct {
	port  int
	value string
}

// announce begins to tell, or with nil ends.
func (p *Provider) announce(socket net.Addr) {
	if port := portOf(socket); port > 0 && p.conf.HTTP3 {
		p.announced.Store(&announcement{port, fmt.Sprintf(`h3=":%d"; ma=86400`, port)})
		return
	}
	p.announced.Store(nil)
}

func portOf(a net.Addr) int {
	switch a := a.(type) {
	case *net.UDPAddr:
		return a.Port
	case *net.TCPAddr:
		return a.Port
	}
	return 0
}
