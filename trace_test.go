package comm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	parent  = "00-" + traceID + "-b7ad6b7169203331-01"
	vendors = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
)

// badParents are traceparent headers that start no trace.
var badParents = []string{
	"", "nonsense", strings.ToUpper(parent), "ff" + parent[2:], parent + "-00", parent[:54], "00" + parent[2:35] + "-0000000000000000-01",
	"00-00000000000000000000000000000000-b7ad6b7169203331-01",
}

// continues reports a traceparent that is not a later step of the trace of parent.
func continues(t *testing.T, what, got string) {
	t.Helper()
	if len(got) != len(parent) || got[3:35] != traceID || got[36:52] == parent[36:52] || got[52:] != "-01" {
		t.Errorf("%s goes on as %q, want the next step of %q", what, got, parent)
	}
}

// A request's trace reaches its handler and leaves with all that it sends.
func TestTraceOfARequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		c, p := f.attach(t, comm.Handshake{})
		given := message(t, "sent", nil, comm.WithHeader("k", "v"))
		if err := f.host().Route("GET /traced", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, comm.Traceparent(r.Context()))
			if _, err := m.Send(r.Context(), comm.ToConn(c.ID()), given); err != nil {
				t.Error(err)
			}
			ctx, cancel := context.WithTimeout(r.Context(), time.Second) // nobody answers
			defer cancel()
			_, _ = m.Call(ctx, c.ID(), message(t, "called", nil))
		})); err != nil {
			t.Fatal(err)
		}
		ask := func(headers http.Header) (inside string, sent, called *comm.Message) {
			r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://gateway/traced", nil)
			r.Header = headers
			resp, err := httpClient(m).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, _ := io.ReadAll(resp.Body)
			frames := p.got(comm.OpMessage, comm.OpCall)
			return string(b), frames[len(frames)-2].Message, frames[len(frames)-1].Message
		}
		inside, sent, called := ask(http.Header{"Traceparent": {parent}, "Tracestate": {vendors}})
		continues(t, "the request", inside)
		for _, msg := range []*comm.Message{sent, called} {
			same(t, msg.Type(), []string{msg.Header("traceparent"), msg.Header("tracestate")}, []string{inside, vendors})
		}
		same(t, "its other headers", sent.Header("k"), "v")
		same(t, "the message that was given", given.Headers(), map[string]string{"k": "v"})
		bad := []http.Header{{"Traceparent": {parent, parent}}}
		for _, s := range badParents {
			bad = append(bad, http.Header{"Traceparent": {s}, "Tracestate": {vendors}})
		}
		for _, h := range bad {
			inside, sent, called := ask(h)
			same(t, "with "+strings.Join(h["Traceparent"], " and "), []any{inside, sent.Header("traceparent"), sent.Header("tracestate"), called.Headers()},
				[]any{"", "", "", map[string]string(nil)})
		}
	})
}

// A message's trace reaches its handler, and leaves with what it sends and calls, and with the reply.
func TestTraceOfAMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var inside string
		m, f := gateway(t, comm.WithOpenAccess())
		c, p := f.attach(t, comm.Handshake{})
		comm.OnCall(m, "in", func(ctx context.Context, c *comm.Conn, _ *comm.Message) (string, error) {
			inside = comm.Traceparent(ctx)
			_, sendErr := m.Broadcast(ctx, message(t, "broadcast", nil))
			_, connErr := c.Send(ctx, message(t, "conn", nil))
			short, cancel := context.WithTimeout(ctx, time.Second) // nobody answers
			defer cancel()
			_, _ = c.Call(short, message(t, "call", nil))
			return "done", errors.Join(sendErr, connErr)
		})
		ask := func(op comm.Op, opts ...comm.MessageOption) (frames []*comm.Frame) {
			p.mu.Lock()
			p.frames = nil
			p.mu.Unlock()
			inside = ""
			msg := message(t, "in", nil, append(opts, comm.WithHeader("k", "v"))...)
			if err := f.host().Receive(c, &comm.Frame{Op: op, ID: "i1", Message: msg}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			return p.got(comm.OpMessage, comm.OpCall, comm.OpReply)
		}
		headers := []comm.MessageOption{comm.WithHeader("traceparent", parent), comm.WithHeader("tracestate", vendors)}
		frames := ask(comm.OpCall, headers...)
		continues(t, "the message", inside)
		same(t, "frames", len(frames), 4) // broadcast, conn, call, reply
		for _, fr := range frames {
			same(t, fr.Op.String()+" "+fr.Message.Type(), fr.Message.Headers(), map[string]string{"traceparent": inside, "tracestate": vendors})
		}
		for _, s := range badParents {
			for _, fr := range ask(comm.OpCall, comm.WithHeader("traceparent", s), comm.WithHeader("tracestate", vendors)) {
				same(t, "with "+s, []any{inside, len(fr.Message.Headers())}, []any{"", 0})
			}
		}
	})
}

// What goes on to another client keeps its headers and is one step further.
func TestTraceOfAForwardedMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, f := gateway(t, comm.WithOpenAccess())
		c, _ := f.attach(t, comm.Handshake{})
		other, q := f.attach(t, comm.Handshake{})
		for _, op := range []comm.Op{comm.OpMessage, comm.OpCall} {
			frame, err := comm.JSON().ParseFrame(fmt.Appendf(nil,
				`{"op":%q,"id":"i1","type":"hello","to":"conn:%s","content":1,"headers":{"traceparent":%q,"k":"v"}}`, op, other.ID(), parent))
			if err != nil {
				t.Fatal(err)
			}
			if err := f.host().Receive(c, frame); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			got := q.got(op)[0].Message
			continues(t, op.String(), got.Header("traceparent"))
			same(t, "its other headers", got.Header("k"), "v")
		}
	})
}

// A service names a trace itself; one that is not valid leaves the context as it was.
func TestWithTraceparent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f := gateway(t)
		_, p := f.attach(t, comm.Handshake{})
		ctx := comm.WithTraceparent(t.Context(), parent, vendors)
		same(t, "named", comm.Traceparent(ctx), parent)
		for _, s := range badParents {
			same(t, "over it "+s, comm.WithTraceparent(ctx, s, vendors), ctx)
			same(t, "alone "+s, comm.Traceparent(comm.WithTraceparent(t.Context(), s, "")), "")
		}
		if _, err := m.Send(ctx, comm.ToAll(), message(t, "n", nil, comm.WithHeader("traceparent", "of the message"))); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		same(t, "sent", p.got(comm.OpMessage)[0].Message.Headers(), map[string]string{"traceparent": parent, "tracestate": vendors})
	})
}
