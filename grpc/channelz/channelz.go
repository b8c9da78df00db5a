// Package channelz has a gateway serve grpc.channelz.v1, which shows the connections, calls and sockets of gRPC of all
// the process. It is imported for that effect, and asked for by [commgrpc.WithChannelz] or the key enable_channelz:
//
//	import _ "github.com/anasamu/comm/grpc/channelz"
//
// It stands apart because grpc-go collects from the moment that its service is linked, whether anybody asks or not:
// each message of each connection then reads the clock.
package channelz

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/channelz/service"

	"github.com/anasamu/comm/grpc/internal/link"
)

func init() {
	link.Channelz = func(s grpc.ServiceRegistrar) { service.RegisterChannelzServiceToServer(s) }
}
