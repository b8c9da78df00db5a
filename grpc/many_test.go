package commgrpc_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/stats"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// wireCount counts the bytes of the messages that a client has read.
type wireCount struct{ bytes atomic.Int64 }

func (*wireCount) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*wireCount) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*wireCount) HandleConn(context.Context, stats.ConnStats)                       {}

func (w *wireCount) HandleRPC(_ context.Context, s stats.RPCStats) {
	if p, ok := s.(*stats.InPayload); ok {
		w.bytes.Add(int64(p.WireLength))
	}
}

// listenerOf is a client of a group that counts what it reads.
type listenerOf struct {
	*frames
	wire *wireCount
	conn string
}

func newListenerOf(t *testing.T, m *comm.Manager, group string, opts ...grpc.CallOption) *listenerOf {
	t.Helper()
	wire := new(wireCount)
	c := hubClient(t, m, grpc.WithStatsHandler(wire), grpc.WithDefaultCallOptions(opts...))
	l := &listenerOf{frames: connect(t, c, hello(group)), wire: wire}
	l.conn = l.expect(commv1.Op_OP_WELCOME).GetWelcome().GetConn()
	l.expect(commv1.Op_OP_JOINED)
	return l
}

// What is sent to many by several senders at once, beside messages to each alone, arrives whole and in each sender's
// order, and is counted once and to the byte.
func TestManyAreCountedToTheByte(t *testing.T) {
	const clients, senders, messages = 12, 3, 60
	m := newGateway(t, comm.WithOpenAccess(), comm.WithQueue(senders*messages, 64<<20))
	var list []*listenerOf
	for i := range clients {
		var opts []grpc.CallOption
		if i%4 == 3 {
			opts = append(opts, grpc.UseCompressor(gzip.Name)) // which is not answered in kind
		}
		list = append(list, newListenerOf(t, m, "g", opts...))
	}
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			for i := range messages {
				text := strings.Repeat("x", []int{3, 900, 20_000, 70_000}[(s+i)%4])
				if _, err := m.Send(t.Context(), comm.ToGroup("g"), newMessage(t, fmt.Sprint("s", s), fmt.Sprintf("%03d%s", i, text))); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Duration(i%3) * 100 * time.Microsecond)
			}
		})
	}
	for _, l := range list {
		all.Go(func() { l.readAll(senders, messages) })
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	total := int64(0)
	for i, l := range list {
		c, read := m.Connection(l.conn), l.wire.bytes.Load()
		eventually(t, fmt.Sprintf("client %d has read %d bytes, as many are counted", i, read), func() bool { // behind the send
			s := c.Stats()
			return s.MessagesOut == senders*messages && s.BytesOut == read
		})
		total += read
	}
	eventually(t, fmt.Sprintf("the provider counts what carries %d bytes", total), func() bool {
		s, err := m.Stats("grpc")
		return err == nil && s.MessagesOut == clients*senders*messages && onWire(s.BytesOut, total)
	})
}

// onWire reports whether so many bytes of HTTP/2 carry so many bytes of messages.
func onWire(wire, messages int64) bool { return messages <= wire && wire < messages+messages/10 }

// What clients send is counted once too.
func TestStreamsReadAreCountedOnce(t *testing.T) {
	const messages = 50
	m := newGateway(t, comm.WithOpenAccess())
	comm.On(m, "n", func(context.Context, *comm.Conn, string) error { return nil })
	l := newListenerOf(t, m, "g")
	for i := range messages {
		content := fmt.Appendf(nil, "%q", strings.Repeat("x", 10_000))
		l.say(&commv1.Frame{Op: commv1.Op_OP_MESSAGE, Id: fmt.Sprint(i), Ack: true, Message: &commv1.Message{Type: "n", Content: content}})
		l.expect(commv1.Op_OP_ACK)
	}
	s, err := m.Stats("grpc")
	if c := m.Connection(l.conn).Stats(); err != nil || c.BytesIn < messages*10_000 || !onWire(s.BytesIn, c.BytesIn) {
		t.Errorf("the provider counts %d bytes, %v; its connection %d", s.BytesIn, err, c.BytesIn)
	}
}

// readAll reads so many messages of so many senders, each sender's in order.
func (l *listenerOf) readAll(senders, each int) {
	next := map[string]int{}
	for range senders * each {
		f, err := l.next()
		if err != nil {
			l.t.Error(err)
			return
		}
		typ, want := f.GetMessage().GetType(), fmt.Sprintf(`"%03d`, next[f.GetMessage().GetType()])
		if content := string(f.GetMessage().GetContent()); !strings.HasPrefix(content, want) {
			l.t.Errorf("got %.20s of %s, want %s", content, typ, want)
			return
		}
		next[typ]++
	}
}

// faulty is an interceptor's stream, or what watches streams, that bears no message while it is armed.
type faulty struct {
	grpc.ServerStream
	armed *atomic.Bool
}

func (s *faulty) SendMsg(m any) error {
	if s.armed.Load() {
		panic("on purpose")
	}
	return s.ServerStream.SendMsg(m)
}

func (*faulty) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*faulty) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*faulty) HandleConn(context.Context, stats.ConnStats)                       {}

func (f *faulty) HandleRPC(_ context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.OutPayload); ok && f.armed.Load() {
		panic("on purpose")
	}
}

// Code of the service that panics in a send costs the streams that are sent this, all of which end: none is left with a
// turn to send that nobody gives back, and neither the sender nor a writer goes down.
func TestManyMeetPanic(t *testing.T) {
	for name, opt := range map[string]func(armed *atomic.Bool) commgrpc.Option{
		"interceptor": func(armed *atomic.Bool) commgrpc.Option {
			return commgrpc.WithStreamInterceptors(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
				return next(srv, &faulty{ss, armed})
			})
		},
		"stats handler": func(armed *atomic.Bool) commgrpc.Option { return commgrpc.WithStatsHandler(&faulty{nil, armed}) },
	} {
		t.Run(name, func(t *testing.T) {
			armed := new(atomic.Bool)
			m := guarded(t, commgrpc.New(opt(armed)), comm.WithOpenAccess())
			list := []*listenerOf{newListenerOf(t, m, "g"), newListenerOf(t, m, "g"), newListenerOf(t, m, "g")}
			var conns []*comm.Conn
			for _, l := range list {
				conns = append(conns, m.Connection(l.conn))
			}
			time.Sleep(10 * time.Millisecond) // the group is quiet, and its sender may write
			armed.Store(true)
			if _, err := m.Send(t.Context(), comm.ToGroup("g"), newMessage(t, "a", nil)); err != nil {
				t.Error(err)
			}
			for i, c := range conns {
				select {
				case <-c.Done():
				case <-time.After(patience):
					t.Fatalf("client %d has not ended", i)
				}
				list[i].end()
			}
		})
	}
}
