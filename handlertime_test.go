package comm_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// receive gives the host a frame of a client, which must be taken.
func receive(t *testing.T, f *fake, c *comm.Conn, op comm.Op, id, typ string) {
	t.Helper()
	frame := &comm.Frame{Op: op, ID: id, Ack: op == comm.OpMessage, Message: message(t, typ, nil)}
	if err := f.host().Receive(c, frame); err != nil {
		t.Fatal(err)
	}
}

// answers are what a client was answered, as "op id code text".
func answers(p *peer) []string {
	list := []string{}
	for _, f := range p.got(comm.OpAck, comm.OpReply, comm.OpError) {
		list = append(list, fmt.Sprint(f.Op, " ", f.ID, " ", f.Code, " ", f.Text))
	}
	return list
}

const tookTooLong = " timeout the handler took too long"

// A handler that waits for its context is ended when its time is over, and says why.
func TestHandlerTimeoutEndsTheContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var out logs
		var seen events
		m, f := gateway(t, comm.WithHandlerTimeout(3*time.Second), out.logger(), comm.WithObserver(&seen))
		start := time.Now()
		comm.On(m, "wait", func(ctx context.Context, _ *comm.Conn, _ *comm.Message) error {
			if d, ok := ctx.Deadline(); !ok || d.Sub(start) != 3*time.Second {
				t.Errorf("deadline %v, %v", d, ok)
			}
			<-ctx.Done()
			same(t, "took", time.Since(start), 3*time.Second)
			same(t, "error", ctx.Err(), context.DeadlineExceeded)
			cause := context.Cause(ctx)
			contains(t, cause, "handler took too long", "3s", "WithHandlerTimeout")
			if !errors.Is(cause, comm.ErrHandlerTimeout) || !errors.Is(cause, context.DeadlineExceeded) {
				t.Errorf("cause %v", cause)
			}
			return cause
		})
		c, p := f.attach(t, comm.Handshake{})
		receive(t, f, c, comm.OpCall, "c1", "wait")
		time.Sleep(4 * time.Second)
		synctest.Wait()
		same(t, "answers", answers(p), []string{"error c1" + tookTooLong})
		same(t, "failed", c.Stats().FailedIn, int64(1))
		same(t, "lines", len(out.with("level=WARN")), 1)
		total, _ := m.Stats("")
		same(t, "failed runs", total.Types["wait"].Failed, int64(1))
		if list := seen.of(comm.EventMessage); len(list) != 1 || !errors.Is(list[0].Err, comm.ErrHandlerTimeout) {
			t.Errorf("observed %v", list)
		}
		if c.Err() != nil {
			t.Errorf("the connection ended: %v", c.Err())
		}
	})
}

// A handler that does not look at its context does not keep its client waiting for the answer. What it says
// afterwards, or its panic, is not told, and what stands behind it comes after it.
func TestHandlerTimeoutAnswersAtOnce(t *testing.T) {
	for name, end := range map[string]func() error{
		"success": func() error { return nil },
		"error":   func() error { return errors.New("too late") },
		"panic":   func() error { panic("too late") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var out logs
				m, f := gateway(t, comm.WithHandlerTimeout(time.Second), out.logger())
				comm.On(m, "deaf", func(context.Context, *comm.Conn, *comm.Message) error { time.Sleep(10 * time.Second); return end() })
				comm.On(m, "next", func(context.Context, *comm.Conn, *comm.Message) error { return nil })
				c, p := f.attach(t, comm.Handshake{})
				receive(t, f, c, comm.OpCall, "c1", "deaf")
				receive(t, f, c, comm.OpMessage, "m2", "next")
				time.Sleep(time.Second)
				synctest.Wait()
				same(t, "answers in time", answers(p), []string{"error c1" + tookTooLong})
				time.Sleep(9 * time.Second)
				synctest.Wait()
				same(t, "answers in all", answers(p), []string{"error c1" + tookTooLong, "ack m2  "})
				same(t, "failed", c.Stats().FailedIn, int64(1))
				same(t, "warnings", len(out.with("level=WARN")), 1)
				total, _ := m.Stats("")
				same(t, "failed runs", total.Types["deaf"].Failed, int64(1))
			})
		})
	}
}

// A handler that is quick enough notices nothing, and leaves no timer behind.
func TestHandlerTimeoutLeavesTheQuickAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithHandlerTimeout(time.Second))
		var kept context.Context
		comm.OnCall(m, "quick", func(ctx context.Context, _ *comm.Conn, _ *comm.Message) (string, error) {
			kept = ctx
			time.Sleep(999 * time.Millisecond)
			return "done", nil
		})
		c, p := f.attach(t, comm.Handshake{})
		receive(t, f, c, comm.OpCall, "c1", "quick")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		same(t, "answers", answers(p), []string{"reply c1  "})
		same(t, "context afterwards", kept.Err(), context.Canceled)
	})
}

// A message that goes on to others has the same time: a call to a connection that does not answer ends with it.
func TestHandlerTimeoutBoundsForwardedCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, f := gateway(t, comm.WithHandlerTimeout(2*time.Second), comm.WithTimeout(time.Minute), comm.WithOpenAccess())
		silent, _ := f.attach(t, comm.Handshake{})
		c, p := f.attach(t, comm.Handshake{})
		frame, err := comm.JSON().ParseFrame(fmt.Appendf(nil, `{"op":"call","id":"c1","type":"ask","to":"conn:%s"}`, silent.ID()))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.host().Receive(c, frame); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		same(t, "answers", answers(p), []string{"error c1" + tookTooLong})
	})
}

// The timeout of calls holds in handlers too, whichever is shorter.
func TestCallTimeoutInsideAHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t, comm.WithHandlerTimeout(time.Minute), comm.WithTimeout(3*time.Second))
		start := time.Now()
		comm.OnCall(m, "ask", func(ctx context.Context, c *comm.Conn, _ *comm.Message) (any, error) {
			_, err := c.Call(ctx, message(t, "back", nil))
			contains(t, err, "no answer within 3s", "WithTimeout")
			same(t, "took", time.Since(start), 3*time.Second)
			return nil, err
		})
		c, p := f.attach(t, comm.Handshake{})
		receive(t, f, c, comm.OpCall, "c1", "ask")
		time.Sleep(4 * time.Second)
		synctest.Wait()
		same(t, "answers", answers(p), []string{"error c1 timeout no answer in time"})
	})
}

// With a handler timeout and without, the context of a handler ends with its connection, for the same reason.
func TestHandlerContextEndsWithItsConnection(t *testing.T) {
	for _, d := range []time.Duration{0, time.Minute} {
		t.Run(d.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m, f := gateway(t, comm.WithHandlerTimeout(d))
				ended := make(chan error, 1)
				comm.On(m, "wait", func(ctx context.Context, _ *comm.Conn, _ *comm.Message) error {
					if _, ok := ctx.Deadline(); ok != (d > 0) {
						t.Errorf("a deadline: %v", ok)
					}
					<-ctx.Done()
					ended <- context.Cause(ctx)
					return nil
				})
				c, p := f.attach(t, comm.Handshake{})
				receive(t, f, c, comm.OpCall, "c1", "wait")
				synctest.Wait()
				f.host().Detach(c, comm.CloseReason{Kind: comm.ReasonClient})
				same(t, "cause", comm.ReasonOf(<-ended), comm.ReasonClient)
				synctest.Wait()
				same(t, "answers", answers(p), []string{})
			})
		})
	}
}

// A handler that takes too long is told so by its context, and its caller by the error timeout.
func ExampleWithHandlerTimeout() {
	gw, end := memoryGateway(comm.WithHandlerTimeout(50 * time.Millisecond))
	defer end()
	comm.OnCall(gw, "report", func(ctx context.Context, _ *comm.Conn, _ *comm.Message) (string, error) {
		select {
		case <-time.After(time.Hour):
			return "all is well", nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	})
	client, hangUp := memoryClient(gw)
	defer hangUp()
	msg, err := comm.NewMessage("report", nil)
	if err != nil {
		panic(err)
	}
	_, err = client.Call(context.Background(), msg)
	if pe, ok := errors.AsType[*comm.PeerError](err); ok {
		fmt.Println(pe.Code, pe.Message)
	}
	// Output: timeout the handler took too long
}
