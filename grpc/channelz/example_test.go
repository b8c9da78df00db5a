package channelz_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/channelz/grpc_channelz_v1"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	_ "github.com/anasamu/comm/grpc/channelz"
)

// The import has the service linked, the option has it served. Who may ask is the authorizer's to say.
func Example() {
	m, err := comm.New(comm.WithInMemory(), comm.WithOpenAccess(), comm.WithLogger(slog.New(slog.DiscardHandler)),
		comm.WithAddr("gateway:80"), comm.WithProvider(commgrpc.New(commgrpc.WithChannelz(true))))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	ctx := context.Background()
	if err := m.Start(ctx); err != nil {
		log.Fatal(err)
	}
	cc, err := grpc.NewClient("passthrough:///gateway:80", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return m.DialContext(ctx, "tcp", addr) }))
	if err != nil {
		log.Fatal(err)
	}
	defer cc.Close()
	servers, err := grpc_channelz_v1.NewChannelzClient(cc).GetServers(ctx, &grpc_channelz_v1.GetServersRequest{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(servers.GetServer()) > 0)
	// Output: true
}
