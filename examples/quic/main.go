// Command quic is a chat room over QUIC, server and client.
//
//	go run ./examples/quic -addr 127.0.0.1:8443
//	go run ./examples/quic -client -addr 127.0.0.1:8443 -pin HASH
//
// The server makes a certificate in memory and prints its hash, which the client pins. Each line that a client reads
// is said to the room, and "/file NAME" sends a file to it, on a lane of its own so that what is said meanwhile does
// not wait. The server tells everybody the time in datagrams, of which none is missed if one is lost. A client that
// returns after a loss is told what it has missed.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8443", "the server's address on UDP")
	client := flag.Bool("client", false, "be a client")
	pin := flag.String("pin", "", "hash of the server's certificate, for a client")
	name := flag.String("name", "somebody", "what a client is called")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *client {
		err = chat(ctx, *addr, *pin, *name, os.Stdin, os.Stdout)
	} else {
		err = serve(ctx, *addr, os.Stdout)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}

// lines calls f with each line of r until its end.
func lines(r io.Reader, f func(string) error) error {
	s := bufio.NewScanner(r)
	for s.Scan() {
		if err := f(s.Text()); err != nil {
			return err
		}
	}
	return s.Err()
}

// printer writes lines for people.
type printer struct{ w io.Writer }

func (p printer) say(format string, args ...any) { _, _ = fmt.Fprintf(p.w, format+"\n", args...) }
