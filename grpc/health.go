package commgrpc

import (
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/anasamu/comm"
)

const (
	healthName     = "grpc.health.v1.Health"
	reflectionName = "grpc.reflection.v1.ServerReflection"
	channelzName   = "grpc.channelz.v1.Channelz"
)

// healthService is grpc.health.v1. The service "" is the gateway, as /readyz has it; every registered service is well
// while the provider is and no drain is under way. What the user says of a service holds beside that.
type healthService struct {
	*health.Server

	mu      sync.Mutex // guards the fields below
	said    map[string]healthv1.HealthCheckResponse_ServingStatus
	names   []string // of the registered services
	ready   bool     // the gateway
	serving bool     // the provider
}

func newHealth() *healthService {
	h := &healthService{Server: health.NewServer(), said: make(map[string]healthv1.HealthCheckResponse_ServingStatus)}
	h.tell()
	return h
}

func (h *healthService) register(s grpc.ServiceRegistrar) { healthv1.RegisterHealthServer(s, h.Server) }

// cover sets which services are told about.
func (h *healthService) cover(names []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.names = names
	h.tell()
}

// follow notes how the gateway and the provider are.
func (h *healthService) follow(g comm.Health, provider string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready, h.serving = g.Ready, g.Providers[provider].Healthy && !g.Draining
	h.tell()
}

// stop says that nothing is served any more.
func (h *healthService) stop() { h.follow(comm.Health{}, "") }

// say notes what the user says of a service.
func (h *healthService) say(service string, status healthv1.HealthCheckResponse_ServingStatus) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.said[service] = status
	h.tell()
}

// tell brings the service up to date. h.mu is held.
func (h *healthService) tell() {
	h.SetServingStatus("", h.status("", h.ready))
	for _, name := range h.names {
		h.SetServingStatus(name, h.status(name, h.serving))
	}
	for name := range h.said {
		if name != "" {
			h.SetServingStatus(name, h.status(name, h.serving))
		}
	}
}

// status is what the user says of a service, as long as it can be called at all.
func (h *healthService) status(name string, callable bool) healthv1.HealthCheckResponse_ServingStatus {
	if !callable {
		return healthv1.HealthCheckResponse_NOT_SERVING
	}
	if said, ok := h.said[name]; ok {
		return said
	}
	return healthv1.HealthCheckResponse_SERVING
}

// SetServingStatus says how a service is, for grpc.health.v1: a registered one, one of any other name, or "" for all of
// the gateway. Without a word of the user a registered service is SERVING while the provider runs and is well, and ""
// while the whole gateway is ready; neither is, whatever the user says, from the moment a drain begins.
func (p *Provider) SetServingStatus(service string, status healthv1.HealthCheckResponse_ServingStatus) {
	p.health.say(service, status)
}
