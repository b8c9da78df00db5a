package commgrpc

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const (
	healthName     = "grpc.health.v1.Health"
	reflectionName = "grpc.reflection.v1.ServerReflection"
)

// healthService is the standard health service.
type healthService struct{ *health.Server }

func newHealth() *healthService { return &healthService{health.NewServer()} }

func (h *healthService) register(s grpc.ServiceRegistrar) {
	grpc_health_v1.RegisterHealthServer(s, h.Server)
}

func (h *healthService) shut() { h.Shutdown() }
