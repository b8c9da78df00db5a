package comm_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// farewell is a script that notes when the client hangs up.
type farewell struct {
	*script
	left chan time.Time
}

func (s *farewell) Dial(context.Context, *comm.Frame) (comm.Carrier, error) { return s, nil }

func (s *farewell) Close(context.Context) error {
	s.left <- time.Now()
	return nil
}

// ending is a client that runs until end is called, which returns what Run did and after how long.
type ending struct {
	*comm.Client
	*farewell
	end func() (took time.Duration, err error)
}

func newEnding(t *testing.T, opts ...comm.ClientOption) *ending {
	t.Helper()
	s := &farewell{newScript(), make(chan time.Time, 10)}
	c, err := comm.NewClient([]comm.Dialer{s}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	synctest.Wait()
	return &ending{c, s, func() (time.Duration, error) {
		start := time.Now()
		stop()
		err := <-ran
		return time.Since(start), err
	}}
}

// bring has the server say a frame of an op.
func (e *ending) bring(t *testing.T, op comm.Op, id, typ string) {
	t.Helper()
	e.say <- &comm.Frame{Op: op, ID: id, Message: message(t, typ, nil)}
	synctest.Wait()
}

// Run does not wait for ever for a handler that does not look at its context, says that it is left, and hangs up
// before. What is behind it is not begun.
func TestClientEndsWithoutStubbornHandlers(t *testing.T) {
	for name, row := range map[string]struct {
		op   comm.Op
		opts []comm.ClientOption
		want time.Duration
		hung time.Duration // when the client hangs up
	}{
		"call":            {comm.OpCall, nil, 30 * time.Second, 0},
		"message":         {comm.OpMessage, nil, 30 * time.Second, time.Second},
		"call, 3 s":       {comm.OpCall, []comm.ClientOption{comm.WithCloseTimeout(3 * time.Second)}, 3 * time.Second, 0},
		"message, 3 s":    {comm.OpMessage, []comm.ClientOption{comm.WithCloseTimeout(3 * time.Second)}, 3 * time.Second, time.Second},
		"call, at once":   {comm.OpCall, []comm.ClientOption{comm.WithCloseTimeout(0)}, 0, 0},
		"message at once": {comm.OpMessage, []comm.ClientOption{comm.WithCloseTimeout(0)}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var states []comm.StateChange
				e := newEnding(t, append(row.opts, comm.WithOnState(func(s comm.StateChange) { states = append(states, s) }))...)
				end, begun := make(chan struct{}), 0
				e.OnCall("work", func(context.Context, *comm.Message) (any, error) { begun++; <-end; return nil, nil })
				e.On("work", func(context.Context, *comm.Message) error { begun++; <-end; return nil })
				e.bring(t, row.op, "1", "work")
				e.bring(t, comm.OpMessage, "2", "other")
				start := time.Now()
				took, err := e.end()
				if took != row.want || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Run took %v: %v", took, err)
				}
				contains(t, err, "WithCloseTimeout")
				same(t, "hung up after", (<-e.left).Sub(start), row.hung)
				if last := states[len(states)-1]; last.State != comm.ClientClosed || last.Err != err {
					t.Errorf("the last state is %+v", last)
				}
				if err := e.Send(t.Context(), message(t, "n", nil)); !errors.Is(err, comm.ErrClosed) {
					t.Error(err)
				}
				e.On("other", func(context.Context, *comm.Message) error { t.Error("begun after the end"); return nil })
				close(end)
				synctest.Wait()
				same(t, "handlers", begun, 1)
			})
		})
	}
}

// Handlers that end by their context, or in time, are waited for and are no error.
func TestClientEndWaitsForHandlers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newEnding(t)
		ended := make(chan string, 3)
		e.OnCall("quick", func(ctx context.Context, _ *comm.Message) (any, error) {
			<-ctx.Done()
			ended <- "quick"
			return nil, nil
		})
		e.OnCall("slow", func(context.Context, *comm.Message) (any, error) {
			time.Sleep(9 * time.Second)
			ended <- "slow"
			return nil, nil
		})
		e.On("late", func(ctx context.Context, _ *comm.Message) error {
			<-ctx.Done()
			time.Sleep(20 * time.Second)
			ended <- "late"
			return nil
		})
		e.bring(t, comm.OpCall, "1", "quick")
		e.bring(t, comm.OpCall, "2", "slow")
		e.bring(t, comm.OpMessage, "3", "late")
		took, err := e.end()
		if took != 20*time.Second || err != nil {
			t.Errorf("Run took %v: %v", took, err)
		}
		same(t, "ended", []string{<-ended, <-ended, <-ended}, []string{"quick", "slow", "late"})
	})
}

// A call that goes on after its connection holds up no other one; it has its place until it ends.
func TestClientReturnsWithoutStubbornCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newEnding(t, comm.WithCallConcurrency(1), comm.WithBackoff(comm.Backoff{Base: time.Second, Max: time.Second}))
		end, asked := make(chan struct{}), make(chan error, 1)
		e.OnCall("work", func(ctx context.Context, _ *comm.Message) (any, error) {
			<-ctx.Done()
			asked <- e.Send(context.Background(), message(t, "still here", nil)) // by the next connection
			<-end
			return "done", nil
		})
		e.bring(t, comm.OpCall, "1", "work")
		e.say <- &comm.Frame{Op: comm.OpClosing, Code: "drain"}
		e.say <- &comm.Frame{Op: comm.OpWelcome, Welcome: &comm.Welcome{Version: 1, Conn: "d"}}
		if err := <-asked; err != nil || e.Welcome().Conn != "d" {
			t.Errorf("%v on %q", err, e.Welcome().Conn)
		}
		e.bring(t, comm.OpCall, "2", "work")
		same(t, "refused", e.answers(comm.OpError), []string{"error 2 limit"})
		close(end)
		synctest.Wait()
		e.bring(t, comm.OpCall, "3", "work")
		same(t, "refused", e.answers(comm.OpError), []string{"error 2 limit"})
		if took, err := e.end(); err != nil || took != 0 {
			t.Errorf("Run took %v: %v", took, err)
		}
	})
}

// Requests that handlers make with a context of their own end with the client, and do not hold up its end.
func TestClientEndEndsRequests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newEnding(t)
		var mu sync.Mutex
		var errs []error
		note := func(err error) {
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		}
		e.OnCall("ask", func(ctx context.Context, _ *comm.Message) (any, error) {
			_, err := e.Call(context.Background(), message(t, "ask", nil))
			note(err)
			_, err = e.Call(context.Background(), message(t, "ask", nil))
			note(err)
			return nil, err
		})
		e.bring(t, comm.OpCall, "1", "ask")
		took, err := e.end()
		if took != 0 || err != nil {
			t.Errorf("Run took %v: %v", took, err)
		}
		if len(errs) != 2 || !errors.Is(errs[0], comm.ErrDisconnected) || !errors.Is(errs[1], comm.ErrClosed) {
			t.Errorf("%v", errs)
		}
	})
}

// A token source that does not look at its context is bounded too, and its token goes to no later connection.
func TestClientEndsWithoutStubbornTokenSource(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hold, asked := make(chan struct{}), new(atomic.Int32)
		s := &farewell{&script{say: make(chan *comm.Frame, 10)}, make(chan time.Time, 10)}
		welcome := func(conn string, life time.Duration) {
			s.say <- &comm.Frame{Op: comm.OpWelcome, Expires: time.Now().Add(life), Welcome: &comm.Welcome{Version: 1, Conn: conn}}
		}
		c, err := comm.NewClient([]comm.Dialer{s}, comm.WithTokenSource(func(context.Context) (string, error) {
			if asked.Add(1) == 2 {
				<-hold
			}
			return "token", nil
		}), comm.WithBackoff(comm.Backoff{Base: time.Second, Max: time.Second}))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- c.Run(ctx) }()
		welcome("c", 10*time.Second)
		time.Sleep(9 * time.Second)
		same(t, "asked", asked.Load(), int32(2))
		s.say <- &comm.Frame{Op: comm.OpClosing, Code: "drain"}
		welcome("d", time.Hour)
		time.Sleep(5 * time.Second)
		same(t, "connection", c.Welcome().Conn, "d")
		stop()
		start := time.Now()
		if err := <-ran; !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 30*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		close(hold)
		synctest.Wait()
		same(t, "sent", s.answers(comm.OpAuth), []string(nil))
	})
}
