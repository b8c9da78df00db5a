package comm_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// script is a carrier whose server the test plays: it says what is put into say, and hears what the client sends.
type script struct {
	say   chan *comm.Frame
	mu    sync.Mutex
	heard []*comm.Frame
}

func newScript() *script {
	s := &script{say: make(chan *comm.Frame, 5000)}
	s.say <- &comm.Frame{Op: comm.OpWelcome, Welcome: &comm.Welcome{Version: 1, Conn: "c"}}
	return s
}

func (*script) Name() string { return "script" }

func (s *script) Dial(context.Context, *comm.Frame) (comm.Carrier, error) { return s, nil }

func (s *script) Send(_ context.Context, f *comm.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, f)
	return nil
}

func (s *script) Receive(ctx context.Context) (*comm.Frame, error) {
	select {
	case f := <-s.say:
		return f, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (*script) Close(context.Context) error { return nil }

// answers are the frames of the kinds that the client sent, as "op id code".
func (s *script) answers(ops ...comm.Op) (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.heard {
		if slices.Contains(ops, f.Op) {
			list = append(list, strings.TrimSpace(fmt.Sprint(f.Op, " ", f.ID, " ", f.Code)))
		}
	}
	return list
}

// scripted is a client of a script. It runs until the test ends, if that is asked for.
func scripted(t *testing.T, s *script, run bool, opts ...comm.ClientOption) *comm.Client {
	t.Helper()
	c, err := comm.NewClient([]comm.Dialer{s}, opts...)
	if err != nil || !run {
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ran })
	return c
}

// clientRequests are all that wait for the server, by name.
func clientRequests(t *testing.T, c *comm.Client) map[string]func(ctx context.Context) error {
	return map[string]func(context.Context) error{
		"Call":    func(ctx context.Context) error { _, err := c.Call(ctx, message(t, "ask", nil)); return err },
		"SendAck": func(ctx context.Context) error { return c.SendAck(ctx, message(t, "tell", nil)) },
		"Join":    func(ctx context.Context) error { return c.Join(ctx, "lobby") },
		"Leave":   func(ctx context.Context) error { return c.Leave(ctx, "lobby") },
		"Refresh": func(ctx context.Context) error { return c.Refresh(ctx, "token") },
	}
}

// tookFor expects that f is given up after d, with an error that says why.
func tookFor(t *testing.T, name string, d time.Duration, f func() error, parts ...string) {
	t.Helper()
	start := time.Now()
	err := f()
	if took := time.Since(start); took != d || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%s: %v after %v, want a deadline of %v", name, err, took, d)
	}
	contains(t, err, parts...)
}

// A server that never answers costs the default timeout, another that is set, or the context's own.
func TestClientRequestsEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		silent := scripted(t, newScript(), true)
		for name, request := range clientRequests(t, silent) {
			tookFor(t, name, 30*time.Second, func() error { return request(t.Context()) }, "no answer within 30s", "WithRequestTimeout")
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			tookFor(t, name+" with a deadline", time.Hour, func() error { return request(ctx) })
			cancel()
		}
		quick := scripted(t, newScript(), true, comm.WithRequestTimeout(2*time.Second))
		for name, request := range clientRequests(t, quick) {
			tookFor(t, name, 2*time.Second, func() error { return request(t.Context()) }, "no answer within 2s")
		}
	})
}

// The time of a request begins with the wait for a connection, which Send bounds too.
func TestClientRequestsEndWithoutAConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := scripted(t, newScript(), false)
		for name, request := range clientRequests(t, c) {
			tookFor(t, name, 30*time.Second, func() error { return request(t.Context()) }, "no answer within 30s")
		}
		tookFor(t, "Send", 30*time.Second, func() error { return c.Send(t.Context(), message(t, "tell", nil)) }, "no connection within 30s")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		tookFor(t, "Send with a deadline", time.Minute, func() error { return c.Send(ctx, message(t, "tell", nil)) })
	})
}

// A connection that comes in time is waited for, and an answer that comes late is dropped.
func TestClientRequestWaitsForAConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newScript()
		c := scripted(t, s, false)
		start := time.Now()
		ended := make(chan error, 1)
		go func() { _, err := c.Call(t.Context(), message(t, "ask", nil, comm.WithID("a1"))); ended <- err }()
		time.Sleep(20 * time.Second)
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- c.Run(ctx) }()
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		same(t, "took", time.Since(start), 30*time.Second)
		same(t, "sent", s.answers(comm.OpCall), []string{"call a1"})
		s.say <- &comm.Frame{Op: comm.OpReply, ID: "a1", Message: message(t, "reply", nil)}
		synctest.Wait()
		stop()
		same(t, "Run", <-ran, nil)
	})
}

// The server's calls are handled beside each other up to the bound; what comes beyond it is refused at once, and
// messages are not held up. A call that ends makes room.
func TestClientCallsAreBounded(t *testing.T) {
	for _, tt := range []struct {
		opts []comm.ClientOption
		most int
	}{
		{nil, 1024},
		{[]comm.ClientOption{comm.WithCallConcurrency(2)}, 2},
	} {
		t.Run(fmt.Sprint(tt.most), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newScript()
				c := scripted(t, s, true, tt.opts...)
				end := make(chan struct{})
				begun := 0
				var mu sync.Mutex
				c.OnCall("work", func(context.Context, *comm.Message) (any, error) {
					mu.Lock()
					begun++
					mu.Unlock()
					<-end
					return "done", nil
				})
				c.On("n", func(context.Context, *comm.Message) error { return nil })
				call := func(id string) { s.say <- &comm.Frame{Op: comm.OpCall, ID: id, Message: message(t, "work", nil)} }
				for i := range tt.most {
					call(fmt.Sprint(i))
				}
				call("more")
				call("and more")
				s.say <- &comm.Frame{Op: comm.OpMessage, ID: "m", Ack: true, Message: message(t, "n", nil)}
				synctest.Wait()
				same(t, "at once", begun, tt.most)
				same(t, "answers", s.answers(comm.OpError, comm.OpReply, comm.OpAck), []string{"error more limit", "error and more limit", "ack m"})
				same(t, "text", s.heard[0].Text, fmt.Sprintf("calls handled at once: at most %d", tt.most))
				close(end)
				synctest.Wait()
				same(t, "replies", len(s.answers(comm.OpReply)), tt.most)
				call("afterwards")
				synctest.Wait()
				same(t, "replies with room", len(s.answers(comm.OpReply)), tt.most+1)
			})
		})
	}
}

// A call whose answer does not come ends by itself.
func ExampleWithRequestTimeout() {
	gw, end := memoryGateway()
	defer end()
	comm.On(gw, "report", func(ctx context.Context, _ *comm.Conn, _ *comm.Message) error {
		<-ctx.Done() // until the client hangs up
		return nil
	})
	client, hangUp := memoryClient(gw, comm.WithRequestTimeout(50*time.Millisecond))
	defer hangUp()
	msg, err := comm.NewMessage("report", nil)
	if err != nil {
		panic(err)
	}
	_, err = client.Call(context.Background(), msg)
	fmt.Println(err, errors.Is(err, context.DeadlineExceeded))
	// Output: comm: no answer within 50ms (WithRequestTimeout): context deadline exceeded true
}
