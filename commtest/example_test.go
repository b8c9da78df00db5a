package commtest_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
)

// A Pipe lets a service's handlers be tested without any network.
func ExamplePipe() {
	pipe := commtest.NewPipe()
	gw, err := comm.New(comm.WithProvider(pipe), comm.WithInMemory(), comm.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gw.Close()
	comm.OnCall(gw, "sum", func(_ context.Context, _ *comm.Conn, v []int) (int, error) { return v[0] + v[1], nil })
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if err := gw.Start(ctx); err != nil {
		fmt.Println(err)
	}
	client, err := comm.NewClient([]comm.Dialer{pipe.Dialer()})
	if err != nil {
		fmt.Println(err)
	}
	done := make(chan error, 1)
	go func() { done <- client.Run(ctx) }()
	question, _ := comm.NewMessage("sum", []int{20, 22})
	answer, err := client.Call(ctx, question)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(answer.Content()))
	stop()
	fmt.Println(<-done)
	// Output:
	// 42
	// <nil>
}

// Vectors are the frames of PROTOCOL.md, for tests of another codec or client.
func ExampleVectors() {
	list, err := commtest.Vectors()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range list {
		if v.File == "life.json" && v.Direction == "both" {
			fmt.Println(v.Name, v.Frame)
		}
	}
	// Output:
	// ping {"op":"ping","id":"1"}
	// pong {"op":"pong","id":"1"}
}
