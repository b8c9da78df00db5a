package commgrpc

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"

	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// WithoutHub leaves comm.v1.HubService out, by which gRPC clients are clients of the gateway like all others.
func WithoutHub() Option {
	return option(func(p *Provider) error { p.hub = nil; return nil })
}

// WithHubCompression compresses what the hub's streams send, by gzip, to clients that say they take it
// (grpc-accept-encoding), on connections of the native transport. It is worth its price where bytes are dear: gRPC
// compresses each message anew for each stream, while without it a message is encoded once for all. The default is
// false. Calls of other services are compressed where their clients compress, as in grpc-go.
func WithHubCompression(on bool) Option {
	return set(func(c *Config) { c.EnableHubCompression = on })
}

// hubService is the service as it is registered: once, for all starts. Calls go to the hub of the current one.
type hubService struct {
	commv1.UnimplementedHubServiceServer
	current atomic.Pointer[hub]
}

// register adds the service, unless it is left out.
func (s *hubService) register(to *registrations) {
	if s != nil {
		commv1.RegisterHubServiceServer(to, s)
	}
}

// start makes the hub of a start; nil if the service is left out.
func (s *hubService) start(of *server) *hub {
	if s == nil {
		return nil
	}
	h := newHub(of.host, int(of.p.conf.MaxRecvMsgSize), int(of.p.conf.MaxSendMsgSize))
	h.compresses = of.p.conf.EnableHubCompression
	s.current.Store(h)
	return h
}

// end stops the hub of a start, if there is one.
func (h *hub) end(ctx context.Context) error {
	if h == nil {
		return nil
	}
	return h.stop(ctx)
}

// now is the current hub, or the status of there being none yet.
func (s *hubService) now() (*hub, error) {
	if h := s.current.Load(); h != nil {
		return h, nil
	}
	return nil, refusedStatus("", errStopping).Err()
}

// Connect implements commv1.HubServiceServer.
func (s *hubService) Connect(stream grpc.BidiStreamingServer[commv1.ConnectRequest, commv1.ConnectResponse]) error {
	h, err := s.now()
	if err != nil {
		return err
	}
	return h.Connect(stream)
}

// Subscribe implements commv1.HubServiceServer.
func (s *hubService) Subscribe(r *commv1.SubscribeRequest, stream grpc.ServerStreamingServer[commv1.SubscribeResponse]) error {
	h, err := s.now()
	if err != nil {
		return err
	}
	return h.Subscribe(r, stream)
}

// onHub makes a call of the current hub.
func onHub[Q, R any](ctx context.Context, s *hubService, r *Q, call func(*hub, context.Context, *Q) (*R, error)) (*R, error) {
	h, err := s.now()
	if err != nil {
		return nil, err
	}
	return call(h, ctx, r)
}

// Send implements commv1.HubServiceServer.
func (s *hubService) Send(ctx context.Context, r *commv1.SendRequest) (*commv1.SendResponse, error) {
	return onHub(ctx, s, r, (*hub).Send)
}

// Broadcast implements commv1.HubServiceServer.
func (s *hubService) Broadcast(ctx context.Context, r *commv1.BroadcastRequest) (*commv1.BroadcastResponse, error) {
	return onHub(ctx, s, r, (*hub).Broadcast)
}

// ListConnections implements commv1.HubServiceServer.
func (s *hubService) ListConnections(ctx context.Context, r *commv1.ListConnectionsRequest) (*commv1.ListConnectionsResponse, error) {
	return onHub(ctx, s, r, (*hub).ListConnections)
}

// CloseConnection implements commv1.HubServiceServer.
func (s *hubService) CloseConnection(ctx context.Context, r *commv1.CloseConnectionRequest) (*commv1.CloseConnectionResponse, error) {
	return onHub(ctx, s, r, (*hub).CloseConnection)
}

// GetStats implements commv1.HubServiceServer.
func (s *hubService) GetStats(ctx context.Context, r *commv1.GetStatsRequest) (*commv1.GetStatsResponse, error) {
	return onHub(ctx, s, r, (*hub).GetStats)
}
