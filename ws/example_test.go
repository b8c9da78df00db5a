package ws_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/anasamu/comm/ws"
)

// An echo server and a client of it.
func Example() {
	srv := httptest.NewServer(ws.Handler(func(ctx context.Context, c *ws.Conn) error {
		return c.Serve(ctx, func(t ws.Type, p []byte) error {
			return c.Write(ctx, t, p)
		})
	}))
	defer srv.Close()

	ctx := context.Background()
	c, _, err := ws.Dial(ctx, strings.Replace(srv.URL, "http", "ws", 1))
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(ctx, ws.Text, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	t, p, err := c.Read(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%v %s\n", t, p)
	fmt.Println(c.Close(ctx, ws.StatusNormal, "done"))
	// Output:
	// text hello
	// <nil>
}

// A server that only answers messages. Its idle connections hold no goroutine.
func ExampleMessageHandler() {
	srv := httptest.NewServer(ws.MessageHandler(func(ctx context.Context, c *ws.Conn, t ws.Type, p []byte) error {
		return c.Write(ctx, t, []byte(strings.ToUpper(string(p))))
	}))
	defer srv.Close()

	ctx := context.Background()
	c, _, err := ws.Dial(ctx, strings.Replace(srv.URL, "http", "ws", 1))
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(ctx, ws.Text, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	_, p, err := c.Read(ctx, nil)
	fmt.Println(string(p), err)
	// Output: HELLO <nil>
}

// Start serves a connection and returns; its last function is called when the
// connection has ended.
func ExampleConn_Start() {
	ended := make(chan error)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := ws.Accept(w, r)
		if err != nil {
			return // the request has been answered
		}
		ctx := context.WithoutCancel(r.Context()) // the request's ends with this function
		c.Start(ctx, func(t ws.Type, p []byte) error {
			return c.Write(ctx, t, p)
		}, func(err error) {
			ended <- err
		})
	}))
	defer srv.Close()

	ctx := context.Background()
	c, _, err := ws.Dial(ctx, strings.Replace(srv.URL, "http", "ws", 1))
	if err != nil {
		log.Fatal(err)
	}
	go c.Close(ctx, ws.StatusNormal, "bye")
	fmt.Println(<-ended)
	// Output: ws: closed by peer: 1000 bye
}

// Accept upgrades inside a handler that goes on, here to close with a reason.
func ExampleAccept() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := ws.Accept(w, r, ws.WithSubprotocols("chat.v1"))
		if err != nil {
			return // the request has been answered
		}
		defer c.CloseNow()
		if c.Subprotocol() == "" {
			c.Close(r.Context(), ws.StatusPolicyViolation, "speak chat.v1")
		}
	}))
	defer srv.Close()

	ctx := context.Background()
	c, _, err := ws.Dial(ctx, strings.Replace(srv.URL, "http", "ws", 1))
	if err != nil {
		log.Fatal(err)
	}
	_, _, err = c.Read(ctx, nil)
	fmt.Println(err)
	fmt.Println(ws.CloseStatus(err) == ws.StatusPolicyViolation)
	// Output:
	// ws: closed by peer: 1008 speak chat.v1
	// true
}

// NewConn speaks WebSocket over any stream.
func ExampleNewConn() {
	near, far := net.Pipe()
	server, err := ws.NewConn(far, ws.Server)
	if err != nil {
		log.Fatal(err)
	}
	client, err := ws.NewConn(near, ws.Client)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	go server.Write(ctx, ws.Binary, []byte{1, 2, 3})
	t, p, err := client.Read(ctx, nil)
	fmt.Println(t, p, err)
	server.CloseNow()
	client.CloseNow()
	// Output: binary [1 2 3] <nil>
}

// A message too large for memory is streamed both ways.
func ExampleConn_Writer() {
	near, far := net.Pipe()
	server, _ := ws.NewConn(far, ws.Server)
	client, _ := ws.NewConn(near, ws.Client)
	ctx := context.Background()
	go func() {
		w, err := server.Writer(ctx, ws.Text)
		if err != nil {
			return
		}
		for i := range 3 {
			fmt.Fprintf(w, "part %d;", i)
		}
		w.Close()
	}()
	_, r, err := client.Reader(ctx)
	if err != nil {
		log.Fatal(err)
	}
	p, err := io.ReadAll(r)
	fmt.Printf("%s %v\n", p, err)
	server.CloseNow()
	client.CloseNow()
	// Output: part 0;part 1;part 2; <nil>
}

// A message for many receivers is encoded once.
func ExamplePrepare() {
	near, far := net.Pipe()
	server, _ := ws.NewConn(far, ws.Server)
	client, _ := ws.NewConn(near, ws.Client)
	msg, err := ws.Prepare(ws.Text, []byte("to all"))
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	go server.WritePrepared(ctx, msg) // and to every other connection
	_, p, err := client.Read(ctx, nil)
	fmt.Printf("%s %v\n", p, err)
	server.CloseNow()
	client.CloseNow()
	// Output: to all <nil>
}
