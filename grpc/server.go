package commgrpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // so that clients may compress
	"google.golang.org/grpc/keepalive"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/places"
)

// server is one start of a provider. It has two servers of the same services: one for gRPC's native transport, and one
// for calls that come as HTTP requests. They end in different ways: the native one says GOAWAY and waits, while the
// other would cut its calls, so net/http has to drain first.
type server struct {
	p      *Provider
	host   comm.Host
	native *grpc.Server
	web    *grpc.Server
	door   *door // what the native server accepts from
	hub    *hub  // nil without one

	calls   places.Places  // that came as HTTP requests
	serving sync.WaitGroup // the native server's accept loop
	ending  context.CancelFunc
	ctx     context.Context // until the server is to end: what never ends by itself ends then
}

func newServer(p *Provider, h comm.Host) (*server, error) {
	s := &server{p: p, host: h}
	s.ctx, s.ending = context.WithCancel(h.Context())
	s.hub = p.hub.start(s)
	s.door = newDoor(p.conf.MaxConnections, h)
	var err1, err2 error
	s.native, err1 = s.build(true)
	s.web, err2 = s.build(false)
	return s, errors.Join(err1, err2)
}

// build makes a grpc.Server of the configuration. grpc-go panics on options that exclude each other.
func (s *server) build(native bool) (g *grpc.Server, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("commgrpc: WithServerOptions: %v", r)
		}
	}()
	g = grpc.NewServer(append(s.options(native), s.p.server...)...)
	s.p.services.on(g)
	return g, nil
}

func (s *server) options(native bool) []grpc.ServerOption {
	c := &s.p.conf
	settings := s.host.Settings()
	opts := []grpc.ServerOption{
		grpc.ForceServerCodecV2(newServerCodec()),
		grpc.MaxRecvMsgSize(int(c.MaxRecvMsgSize)),
		grpc.MaxSendMsgSize(int(c.MaxSendMsgSize)),
	}
	for _, h := range s.p.stats {
		opts = append(opts, grpc.StatsHandler(h))
	}
	if !native {
		return append(opts, grpc.ChainStreamInterceptor(paceStream))
	}
	return append(opts,
		grpc.Creds(handedOver{}),
		grpc.MaxConcurrentStreams(uint32(c.MaxConcurrentStreams)),
		grpc.MaxHeaderListSize(uint32(c.MaxHeaderSize)),
		grpc.ConnectionTimeout(settings.HandshakeTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: orElse(c.KeepaliveTime, settings.Heartbeat), Timeout: orElse(c.KeepaliveTimeout, settings.WriteTimeout),
			MaxConnectionIdle: c.MaxConnectionIdle, MaxConnectionAge: c.MaxConnectionAge, MaxConnectionAgeGrace: c.MaxConnectionAgeGrace,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: c.MinPingInterval, PermitWithoutStream: true}),
	)
}

// start serves. The claim comes last: what it takes must be served.
func (s *server) start() error {
	h := s.routed()
	for _, r := range s.p.services.list {
		if err := s.host.Route("/"+r.desc.ServiceName+"/", h); err != nil {
			return err
		}
	}
	s.serving.Go(func() {
		if err := s.native.Serve(s.door); err != nil && !errors.Is(err, grpc.ErrServerStopped) && s.ctx.Err() == nil {
			s.host.Fail(fmt.Errorf("commgrpc: serve: %w", err))
		}
	})
	return s.host.ClaimConns(s.claim)
}

// routed serves the gRPC calls that come as HTTP requests.
func (s *server) routed() http.Handler {
	settings := s.host.Settings()
	mixed := newMixed(s.web, webOptions{
		services:     s.web.GetServiceInfo(),
		checkOrigin:  s.host.CheckOrigin,
		maxReceive:   int(s.p.conf.MaxRecvMsgSize),
		bodyTimeout:  settings.HandshakeTimeout,
		writeTimeout: settings.WriteTimeout,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.calls.Enter(0); err != nil {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "the server is going away", http.StatusServiceUnavailable)
			return
		}
		defer s.calls.Leave()
		mixed.ServeHTTP(w, r)
	})
}
