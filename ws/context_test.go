package ws_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm/ws"
)

func TestReadContextEndsBetweenMessages(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, server, client *ws.Conn) {
		for i := range 3 {
			if _, _, err := server.Read(soon(t), nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("round %d: %v", i, err)
			}
			go client.Write(t.Context(), ws.Text, []byte("later"))
			if _, p, err := server.Read(t.Context(), nil); err != nil || string(p) != "later" {
				t.Fatalf("round %d: the connection did not live on: %q, %v", i, p, err)
			}
		}
		dead, cancel := context.WithCancelCause(t.Context())
		why := errors.New("why")
		cancel(why)
		if _, _, err := server.Read(dead, nil); err != why {
			t.Errorf("cause: %v", err)
		}
		if err := server.Write(dead, ws.Text, nil); err != why {
			t.Errorf("cause: %v", err)
		}
	})
}

func TestReadContextEndsInsideAMessage(t *testing.T) {
	t.Parallel()
	for _, portable := range []bool{false, true} {
		opts := []ws.DialOption{}
		if portable {
			opts = append(opts, ws.WithPortableIO())
		}
		p, c := clientPeer(t, "", opts...)
		b := p.wire(text("one κόσμε"))
		p.write(b[:7]) // cut inside a character
		if _, _, err := c.Read(soon(t), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		p.write(b[7:9])
		if _, _, err := c.Read(soon(t), make([]byte, 100)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		p.write(b[9:])
		if _, got, err := c.Read(t.Context(), nil); err != nil || string(got) != "one κόσμε" {
			t.Fatalf("%q, %v", got, err)
		}
		// Inside a header.
		b = p.wire(bin(strings.Repeat("x", 300)))
		p.write(b[:2])
		if _, _, err := c.Read(soon(t), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		p.write(b[2:])
		if _, got, err := c.Read(t.Context(), nil); err != nil || len(got) != 300 {
			t.Fatalf("%d, %v", len(got), err)
		}
	}
}

func TestReaderContinuesAfterItsContext(t *testing.T) {
	t.Parallel()
	p, c := clientPeer(t, "")
	p.send(text("first ").open())
	ctx, cancel := context.WithCancel(t.Context())
	_, r, err := c.Reader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 6)
	if _, err := io.ReadFull(r, head); err != nil || string(head) != "first " {
		t.Fatalf("%q, %v", head, err)
	}
	cancel()
	if _, err := r.Read(head); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	p.send(cont("second"), text("third"))
	if _, rest, err := c.Read(t.Context(), nil); err != nil || string(rest) != "second" {
		t.Fatalf("%q, %v", rest, err)
	}
	// What is not read is skipped.
	if _, r, err = c.Reader(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.send(text("fourth"))
	if _, got, err := c.Read(t.Context(), nil); err != nil || string(got) != "fourth" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := r.Read(head); err != ws.ErrReaderDone {
		t.Error(err)
	}
}

func TestWriteContextEndsWhileWaiting(t *testing.T) {
	t.Parallel()
	server, client := pair(t)
	held, err := server.Writer(t.Context(), ws.Text) // keeps other messages waiting
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Write(soon(t), ws.Text, []byte("never sent")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	go func() { held.Write([]byte("lives")); held.Close() }()
	if _, p, err := client.Read(t.Context(), nil); err != nil || string(p) != "lives" {
		t.Fatalf("%q, %v", p, err)
	}
}

func TestWriteContextEndsBeforeTheFirstByte(t *testing.T) {
	t.Parallel()
	server, client := pair(t) // a pipe takes nothing until it is read
	if err := server.Write(soon(t), ws.Text, []byte("never sent")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	go server.Write(t.Context(), ws.Text, []byte("sent"))
	if _, p, err := client.Read(t.Context(), nil); err != nil || string(p) != "sent" {
		t.Fatalf("%q, %v", p, err)
	}
}

func TestWriteContextEndsInsideAMessage(t *testing.T) {
	t.Parallel()
	p, server := clientPeer(t, "")
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		p.br.ReadByte() // it has begun
		time.Sleep(10 * time.Millisecond)
		cancel(why)
	}()
	if err := server.Write(ctx, ws.Binary, make([]byte, 32<<20)); err != why {
		t.Fatal(err)
	}
	if server.Err() != why {
		t.Errorf("the connection's cause is %v", server.Err())
	}
}
