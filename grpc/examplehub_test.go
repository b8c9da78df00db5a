package commgrpc_test

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// newHub is a gateway in memory on which everybody may do everything.
func newHub() (*comm.Manager, error) {
	gw, err := comm.New(comm.WithInMemory(), comm.WithAddr("gateway:80"), comm.WithOpenAccess(), comm.WithProvider(commgrpc.New()))
	if err != nil {
		return nil, err
	}
	return gw, gw.Start(context.Background())
}

// A client that stays connected, and goes on where it was after every cut.
func ExampleDialer() {
	gw, err := newHub()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gw.Close()

	dialer := commgrpc.Dialer("gateway:80", commgrpc.WithDialContext(gw.DialContext)) // elsewhere "host:443" and WithTLS
	client, err := comm.NewClient([]comm.Dialer{dialer})
	if err != nil {
		fmt.Println(err)
		return
	}
	got := make(chan string)
	client.On("chat", func(_ context.Context, m *comm.Message) error { got <- string(m.Content()); return nil })
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go client.Run(ctx)

	if err := client.Join(ctx, "lobby"); err != nil {
		fmt.Println(err)
		return
	}
	m, err := comm.NewMessage("chat", "hello")
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := gw.Send(ctx, comm.ToGroup("lobby"), m); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-got)
	// Output: "hello"
}

// The generated client alone: what listens to a group, and a message to it. Clients in other languages do the same.
func ExampleNew_hub() {
	gw, err := newHub()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gw.Close()
	cc, err := grpc.NewClient("passthrough:///gateway:80", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return gw.DialContext(ctx, "tcp", addr) }))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cc.Close()
	ctx, hub := context.Background(), commv1.NewHubServiceClient(cc)

	stream, err := hub.Subscribe(ctx, &commv1.SubscribeRequest{Groups: []string{"lobby"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for {
		r, err := stream.Recv()
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, f := range r.GetFrames() {
			switch f.GetOp() {
			case commv1.Op_OP_JOINED:
				fmt.Println("joined", f.GetGroup())
				sent, err := hub.Send(ctx, &commv1.SendRequest{
					Message: &commv1.Message{Type: "chat", To: "group:lobby", Content: []byte(`"hello"`)},
				})
				if err != nil {
					fmt.Println(err)
					return
				}
				fmt.Println("sent to", sent.GetDelivery().GetMatched())
			case commv1.Op_OP_MESSAGE:
				fmt.Println(f.GetMessage().GetType(), string(f.GetMessage().GetContent()))
				return
			}
		}
	}
	// Output:
	// joined lobby
	// sent to 1
	// chat "hello"
}
