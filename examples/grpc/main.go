// Command grpc sends a tick each second to whoever listens to the group "ticks", over gRPC.
//
//	go run ./examples/grpc -addr 127.0.0.1:9090              # serve
//	go run ./examples/grpc -addr 127.0.0.1:9090 -listen      # a client that returns after every cut, and misses nothing
//	go run ./examples/grpc -addr 127.0.0.1:9090 -generated   # a client of the generated code alone
//
// Any other client of comm/v1/comm.proto can listen too:
//
//	grpcurl -plaintext -d '{"groups":["ticks"]}' 127.0.0.1:9090 comm.v1.HubService/Subscribe
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:9090", "address to serve, or to connect to")
	byClient := flag.Bool("listen", false, "listen to the service at the address")
	byCode := flag.Bool("generated", false, "listen to it with the generated code alone")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *byClient, *byCode); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr string, byClient, byCode bool) error {
	show := func(t tick) { fmt.Printf("tick %d at %s\n", t.N, t.At.Format(time.TimeOnly)) }
	switch {
	case byClient:
		return listen(ctx, commgrpc.Dialer(addr), show)
	case byCode:
		cc, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		defer cc.Close()
		return subscribe(ctx, commv1.NewHubServiceClient(cc), show)
	}
	gw, err := newService(comm.WithAddr(addr))
	if err != nil {
		return err
	}
	go sendTicks(ctx, gw, time.Second)
	log.Printf("serving gRPC at %s", addr)
	return gw.Run(ctx)
}
