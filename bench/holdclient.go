package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// held is the connections of this client process, for stay.
var held *loop

// driveHold opens the connections, has each get one message, and asks what the
// server process holds then. The connections stay open when it returns.
func driveHold(s *spec) (metrics, error) {
	l, err := newLoop()
	if err != nil {
		return nil, err
	}
	held = l
	c, err := dialControl(s)
	if err != nil {
		return nil, err
	}
	before, err := c.ask(request{Op: "live"})
	if err != nil {
		return nil, err
	}
	r := newReceiver(s, l)
	if err := openHeld(s, l, r); err != nil {
		return nil, err
	}
	if err := useHeld(s, l, r, c); err != nil {
		return nil, err
	}
	if s.Stalled {
		return stallHeld(s, l, c)
	}
	if err := idleFor(l, s.Settle); err != nil {
		return nil, err
	}
	quiet, err := c.ask(request{Op: "usage"})
	if err != nil {
		return nil, err
	}
	after, err := c.ask(request{Op: "live"})
	n := float64(s.Conns)
	return metrics{
		"rss":        float64(quiet.RSS-before.RSS) / n,
		"live":       float64(after.Live-before.Live) / n,
		"stacks":     float64(after.Stacks-before.Stacks) / n,
		"goroutines": float64(after.Goroutines-before.Goroutines) / n,
		"base":       float64(before.RSS),
	}, err
}

// openHeld connects, and serves what is connected meanwhile: it takes longer
// than a heartbeat.
func openHeld(s *spec, l *loop, r *receiver) error {
	dial := dials[s.Carrier]
	for i := range s.Conns / max(1, s.Streams) {
		w, err := dial(s, i, i%max(1, s.Groups))
		if err == nil {
			err = l.add(w)
		}
		if err == nil && i%64 == 0 {
			err = l.turn(0, r.take)
		}
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
	}
	return nil
}

// useHeld sends one message over each connection: there and back where the
// carrier is a WebSocket, else to all of them.
func useHeld(s *spec, l *loop, r *receiver, c *control) error {
	if s.Carrier == carrierLibrary {
		s.Entry.Say = ""
		return exchange(s, l)
	}
	if err := c.join(s.Conns); err != nil {
		return err
	}
	if err := r.hello(); err != nil {
		return err
	}
	if s.Carrier == carrierWS {
		return exchange(s, l)
	}
	return r.round(c, 1, s)
}

// stallHeld stops reading, has the server send until all sockets are full, and
// asks how much the kernel holds at the server's ends.
func stallHeld(s *spec, l *loop, c *control) (metrics, error) {
	for _, w := range l.all {
		if err := l.mute(w); err != nil {
			return nil, err
		}
	}
	before := socketPages()
	if _, err := c.ask(request{Op: "fill"}); err != nil {
		return nil, err
	}
	bytes := (socketPages() - before) * int64(os.Getpagesize())
	for _, w := range l.all {
		n, err := receiveMemory(w.fd)
		if err != nil {
			return nil, err
		}
		bytes -= n // what came to this end
	}
	return metrics{"sent": float64(bytes) / float64(s.Conns)}, nil
}

// idleFor answers pings and polls, and takes nothing else.
func idleFor(l *loop, d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if err := l.turn(20, func(*wire, serverFrame) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// stay keeps what driveHold has opened until standard input ends.
func stay() error {
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(done)
	}()
	for {
		select {
		case <-done:
			return nil
		default:
			if err := idleFor(held, 50*time.Millisecond); err != nil {
				return err
			}
		}
	}
}
