// Command wsecho sends back every WebSocket message as it came: a target for
// third-party suites and load tools, and a plain use of package ws.
//
//	go run ./examples/wsecho -addr 127.0.0.1:9001 [-tls] [-deflate=false]
//	go run ./examples/wsecho -client ws://127.0.0.1:9001
//
// The second form plays the client of a fuzzing server: it asks for the number
// of cases, runs one after the other, and has the report written.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/anasamu/comm/ws"
)

// maxMessage is the longest message that is echoed.
const maxMessage = 64 << 20

func main() {
	addr := flag.String("addr", "127.0.0.1:9001", "address to listen on")
	secure := flag.Bool("tls", false, "serve wss with a certificate made in memory")
	compress := flag.Bool("deflate", true, "agree to permessage-deflate")
	client := flag.String("client", "", "URL of a fuzzing server to be the client of")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *client != "" {
		err = runCases(ctx, *client, *compress)
	} else {
		err = serve(ctx, *addr, *secure, *compress)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// options are the same for both sides.
func options(compress bool) []ws.Option {
	opts := []ws.Option{ws.WithReadLimit(maxMessage)}
	if compress {
		opts = append(opts, ws.WithCompression(ws.Compression{Takeover: true}))
	}
	return opts
}

// echo answers each message with itself.
func echo(ctx context.Context, c *ws.Conn) error {
	return c.Serve(ctx, func(t ws.Type, p []byte) error { return c.Write(ctx, t, p) })
}

func serve(ctx context.Context, addr string, secure, compress bool) error {
	opts := []ws.AcceptOption{
		ws.WithAnyOrigin(),
		ws.WithConnContext(func(*http.Request) context.Context { return context.Background() }), // keep nothing of the request
	}
	for _, o := range options(compress) {
		opts = append(opts, o)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	scheme := "ws"
	if secure {
		conf, err := selfSigned()
		if err != nil {
			return err
		}
		ln, scheme = tls.NewListener(ln, conf), "wss"
	}
	mux := http.NewServeMux()
	mux.Handle("/{$}", ws.Handler(echo, opts...))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // Serve reports the end
	defer stop()
	fmt.Printf("echoing on %s://%s/\n", scheme, ln.Addr())
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
