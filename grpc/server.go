package commgrpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // so that clients may compress
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

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
	door   *door         // what the native server accepts from
	hub    *hub          // nil without one
	calls  places.Places // that came as HTTP requests

	ctx    context.Context // until the server is to end: what never ends by itself ends then
	ending context.CancelFunc
	once   sync.Once      // of leaving
	left   chan struct{}  // closed when the native server has ended
	over   chan struct{}  // closed when this start stops
	work   sync.WaitGroup // the goroutines
}

func newServer(p *Provider, h comm.Host) (*server, error) {
	s := &server{p: p, host: h, door: newDoor(&p.conf, h), left: make(chan struct{}), over: make(chan struct{})}
	s.ctx, s.ending = context.WithCancel(h.Context())
	s.hub = p.hub.start(s)
	var err1, err2 error
	s.native, err1 = s.build(true)
	s.web, err2 = s.build(false)
	if err := errors.Join(err1, err2); err != nil {
		s.discard()
		return nil, err
	}
	return s, nil
}

// discard ends what was made of a start that comes to nothing: a server has goroutines before it serves.
func (s *server) discard() {
	s.ending()
	for _, g := range []*grpc.Server{s.native, s.web} {
		if g != nil {
			g.Stop()
		}
	}
}

// build makes a grpc.Server of the configuration. grpc-go panics on options that exclude each other.
func (s *server) build(native bool) (g *grpc.Server, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("commgrpc: WithServerOptions: %v", r)
		}
	}()
	g = grpc.NewServer(slices.Concat(s.options(native), s.p.server, s.lastOptions(native))...)
	s.p.services.on(g)
	return g, nil
}

// workersPerProc is how many goroutines for each processor wait for calls. A call that one of them takes has a stack that
// has grown already, which saves a tenth of a small call; one that finds none free gets a goroutine of its own.
const workersPerProc = 8

func (s *server) options(native bool) []grpc.ServerOption {
	c := &s.p.conf
	g := s.newGuard(native)
	opts := []grpc.ServerOption{
		grpc.ForceServerCodecV2(callCodec{newServerCodec()}),
		grpc.MaxRecvMsgSize(int(c.MaxRecvMsgSize)),
		grpc.MaxSendMsgSize(int(c.MaxSendMsgSize)),
		grpc.ChainUnaryInterceptor(append([]grpc.UnaryServerInterceptor{g.unary}, s.p.unary...)...),
	}
	for _, h := range s.p.stats {
		opts = append(opts, grpc.StatsHandler(h))
	}
	streams := append([]grpc.StreamServerInterceptor{g.stream}, s.p.stream...)
	if native {
		return append(append(opts, grpc.ChainStreamInterceptor(streams...)), s.nativeOptions()...)
	}
	// The outermost, so that what interceptors receive counts too.
	return append(opts, grpc.ChainStreamInterceptor(paceStream), grpc.ChainStreamInterceptor(streams...))
}

// nativeOptions are about connections.
func (s *server) nativeOptions() []grpc.ServerOption {
	c, settings := &s.p.conf, s.host.Settings()
	return []grpc.ServerOption{
		grpc.NumStreamWorkers(workersPerProc * uint32(runtime.GOMAXPROCS(0))),
		grpc.MaxConcurrentStreams(uint32(c.MaxConcurrentStreams)),
		grpc.MaxHeaderListSize(uint32(c.MaxHeaderSize)),
		grpc.ConnectionTimeout(settings.HandshakeTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: orElse(c.KeepaliveTime, settings.Heartbeat), Timeout: orElse(c.KeepaliveTimeout, settings.WriteTimeout),
			MaxConnectionIdle: c.MaxConnectionIdle, MaxConnectionAge: c.MaxConnectionAge, MaxConnectionAgeGrace: c.MaxConnectionAgeGrace,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: c.MinPingInterval, PermitWithoutStream: true}),
	}
}

// lastOptions are those that nobody may replace: the guard lets everybody call what is not registered because it is
// refused anyway, and who has a certificate is known from a handshake that is done already.
func (s *server) lastOptions(native bool) []grpc.ServerOption {
	opts := []grpc.ServerOption{grpc.UnknownServiceHandler(s.p.unknownService())}
	if native {
		opts = append(opts, grpc.Creds(handedOver{}))
	}
	return opts
}

// start serves. The claim comes last: what it takes must be served.
func (s *server) start() error {
	h := s.routed()
	for _, r := range s.p.services.list {
		if err := s.host.Route("/"+r.desc.ServiceName+"/", h); err != nil {
			return err
		}
	}
	if s.p.unknown != nil {
		if err := s.host.ClaimRequests(isCall, h); err != nil {
			return err
		}
	}
	s.work.Go(func() {
		if err := s.native.Serve(s.door); err != nil && s.ctx.Err() == nil {
			s.host.Fail(fmt.Errorf("commgrpc: serve: %w", err))
		}
	})
	s.work.Go(s.follow)
	if !s.p.conf.EnableNative {
		return nil
	}
	return s.host.ClaimConns(s.claim)
}

// unknownService answers calls of what is not registered.
func (p *Provider) unknownService() grpc.StreamHandler {
	if p.unknown != nil {
		return p.unknown
	}
	return func(_ any, ss grpc.ServerStream) error {
		full, _ := grpc.MethodFromServerStream(ss)
		service, method, ok := splitMethod(full)
		switch {
		case !ok:
			return status.Error(codes.Unimplemented, "malformed method name")
		case !p.services.has(service):
			return status.Errorf(codes.Unimplemented, "unknown service %s", service)
		}
		return status.Errorf(codes.Unimplemented, "unknown method %s for service %s", method, service)
	}
}

// routed serves the gRPC calls that come as HTTP requests.
func (s *server) routed() http.Handler {
	settings := s.host.Settings()
	mixed := newMixed(s.web, webOptions{
		services:     s.web.GetServiceInfo(),
		unknown:      s.p.unknown != nil,
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
