package commv1_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// A client of the generated code subscribes to a group, and hears what is sent to it.
func Example() {
	ctx := context.Background()
	gw, err := comm.New(comm.WithInMemory(), comm.WithAddr("gateway:80"), comm.WithOpenAccess(),
		comm.WithLogger(slog.New(slog.DiscardHandler)), comm.WithProvider(commgrpc.New()))
	if err != nil {
		log.Fatal(err)
	}
	if err := gw.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer gw.Close()
	// Elsewhere the address alone is enough.
	conn, err := grpc.NewClient("passthrough:///gateway:80", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return gw.DialContext(ctx, "tcp", addr) }))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	hub := commv1.NewHubServiceClient(conn)
	stream, err := hub.Subscribe(ctx, &commv1.SubscribeRequest{Groups: []string{"lobby"}})
	if err != nil {
		log.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			log.Fatal(err)
		}
		for _, f := range m.GetFrames() {
			switch f.GetOp() {
			case commv1.Op_OP_JOINED:
				_, err := hub.Send(ctx, &commv1.SendRequest{Message: &commv1.Message{Type: "greeting", Content: []byte(`"hi"`), To: "group:lobby"}})
				if err != nil {
					log.Fatal(err)
				}
			case commv1.Op_OP_UNSPECIFIED, commv1.Op_OP_MESSAGE:
				fmt.Printf("%s: %s\n", f.GetMessage().GetType(), f.GetMessage().GetContent())
				return
			}
		}
	}
	// Output: greeting: "hi"
}
