package commquic

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/quic-go/quic-go"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/places"
)

// server is one start of a provider: a socket, its QUIC transport, and the connections on it.
type server struct {
	p      *Provider
	host   comm.Host
	socket net.PacketConn
	quic   *quic.Transport
	accept *quic.Listener
	http   *h3 // nil: not offered
	raw    *rawServer
	ctx    context.Context // ends handshakes under way
	cancel context.CancelFunc

	places  places.Places // of connections
	running sync.WaitGroup

	mu    sync.Mutex // guards conns
	conns map[*quic.Conn]bool
}

// errNoTLS is the answer to a provider that has no certificate at all.
var errNoTLS = refuse("New", "no TLS", "WithTLS, or a manager with comm.WithCertificate, comm.WithTLS or comm.WithDevelopmentCertificate")

// listen opens the provider's socket and serves it.
func listen(ctx context.Context, p *Provider, h comm.Host) (*server, error) {
	base := p.tls
	if base == nil {
		base = h.TLS()
	}
	if base == nil {
		return nil, errNoTLS
	}
	s := &server{p: p, host: h, conns: make(map[*quic.Conn]bool)}
	s.raw = newRawServer(h, &p.conf)
	admission, err := newAdmission(h, &p.conf)
	if err != nil {
		return nil, err
	}
	if s.http, err = p.http3(h, s.raw); err != nil {
		return nil, err
	}
	addr := p.Address()
	if s.http != nil {
		addr = "" // beside a listener, whose answers announce HTTP/3
	}
	if s.socket, err = h.ListenPacket(ctx, "udp", addr); err != nil {
		s.abandon()
		return nil, fmt.Errorf("commquic: %w", err)
	}
	s.ctx, s.cancel = context.WithCancel(h.Context())
	s.quic = p.transport(admission, s.socket)
	conf := p.conf.transport()
	if conf.HandshakeIdleTimeout == 0 {
		conf.HandshakeIdleTimeout = h.Settings().HandshakeTimeout
	}
	silenceBuffers()
	if s.accept, err = s.quic.Listen(forQUIC(base, protocols(s.http != nil)), conf); err != nil {
		s.cancel()
		s.abandon()
		return nil, errors.Join(fmt.Errorf("commquic: %w", err), s.socket.Close())
	}
	tellBuffers(h.Logger(), s.socket)
	s.running.Go(s.run)
	return s, nil
}

// abandon ends what HTTP/3 has begun for a start that failed.
func (s *server) abandon() {
	if s.http != nil {
		s.http.shutdown(s.host.Context())
	}
}

// transport is the socket's QUIC side, with what guards it.
func (p *Provider) transport(a *admission, socket net.PacketConn) *quic.Transport {
	t := &quic.Transport{
		Conn: socket, StatelessResetKey: p.resetKey, TokenGeneratorKey: p.tokenKey,
		VerifySourceAddress: a.mustProve, ConnContext: a.admit,
	}
	if t.StatelessResetKey == nil {
		t.StatelessResetKey = new(quic.StatelessResetKey)
		_, _ = rand.Read(t.StatelessResetKey[:])
	}
	return t
}

// forQUIC is base with the protocols that are offered here.
func forQUIC(base *tls.Config, protocols []string) *tls.Config {
	conf := base.Clone()
	conf.NextProtos, conf.MinVersion = protocols, tls.VersionTLS13
	if each := conf.GetConfigForClient; each != nil {
		conf.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			own, err := each(hello)
			if own == nil || err != nil {
				return own, err
			}
			return forQUIC(own, protocols), nil
		}
	}
	return conf
}

// run accepts connections until the listener is closed; its own failure is the provider's.
func (s *server) run() {
	for {
		c, err := s.accept.Accept(s.ctx)
		if err != nil {
			if s.ctx.Err() == nil {
				s.host.Fail(fmt.Errorf("commquic: accept: %w", err))
			}
			return
		}
		if !s.enter(c) {
			sendAway(c)
			continue
		}
		go s.serve(c)
	}
}

func (s *server) enter(c *quic.Conn) bool {
	if s.places.Enter(0) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = true
	return true
}

func (s *server) leave(c *quic.Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.places.Leave()
}

// serve serves one connection by the protocol that its handshake has agreed on.
func (s *server) serve(c *quic.Conn) {
	defer s.leave(c)
	state := c.ConnectionState().TLS
	admitted, _ := c.Context().Value(admittedKey{}).(func())
	if state.NegotiatedProtocol != Protocol && s.http != nil {
		admitted()
		if err := s.http.serve(s.ctx, c); err != nil {
			s.host.Logger().Debug("HTTP/3 connection", "error", err)
		}
		return
	}
	s.raw.serve(s.ctx, quicSession{c}, &comm.Handshake{RemoteAddr: c.RemoteAddr(), TLS: &state}, admitted)
}

// stop ends what is served here. The manager has closed its connections before; what is left when ctx ends is cut.
func (s *server) stop(ctx context.Context) error {
	s.places.Close()
	if s.http != nil {
		s.http.shutdown(ctx)
	}
	err := s.accept.Close()
	s.cancel()
	s.running.Wait()
	if s.places.Wait(ctx) != nil {
		s.cut()
		_ = s.places.Wait(context.Background()) // every connection is closed: it ends
	}
	return errors.Join(err, s.quic.Close(), s.socket.Close())
}

// cut closes every connection: closing the transport alone would tell nobody.
func (s *server) cut() {
	s.mu.Lock()
	var all []*quic.Conn
	for c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		sendAway(c)
	}
}

// sendAway closes a connection that is not served, or no longer, with the code that its protocol has for it.
func sendAway(c *quic.Conn) {
	code := noError
	if c.ConnectionState().TLS.NegotiatedProtocol == Protocol {
		code = quic.ApplicationErrorCode(comm.CloseReason{Kind: comm.ReasonDrain}.Code())
	}
	_ = c.CloseWithError(code, "the server is going away")
}
