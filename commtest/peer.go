package commtest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/anasamu/comm"
)

// peer is a client of one connection that sees every frame, and can stop looking.
type peer struct {
	e       *env
	carrier comm.Carrier
	welcome comm.Welcome
	expires time.Time

	read    chan struct{} // closed when the reader may start
	started sync.Once
	frames  chan *comm.Frame
	err     error // why frames was closed
	pos     comm.Position
	ids     int
}

// maxUnread bounds what a peer may have read and a row not looked at.
const maxUnread = 1 << 16

// hello changes what a peer says first.
type hello func(f *comm.Frame)

func inGroups(groups ...string) hello { return func(f *comm.Frame) { f.Hello.Groups = groups } }
func asToken(token string) hello      { return func(f *comm.Frame) { f.Token = token } }
func asVersion(v int) hello           { return func(f *comm.Frame) { f.Hello.Version = v } }
func at(p comm.Position) hello        { return func(f *comm.Frame) { f.Position = p } }
func resuming(session string) hello   { return func(f *comm.Frame) { f.Hello.Session = session } }

// dial opens a carrier and says hello.
func (e *env) dial(hellos ...hello) (comm.Carrier, error) { return e.dialTo(e.endpoint, hellos...) }

func (e *env) dialTo(to Endpoint, hellos ...hello) (comm.Carrier, error) {
	f := &comm.Frame{Op: comm.OpHello, ID: "h1", Hello: &comm.Hello{Version: comm.ProtocolVersion}}
	for _, h := range hellos {
		h(f)
	}
	c, err := e.setup.Dialer(to).Dial(e.bounded(), f)
	if err == nil {
		e.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			c.Close(ctx)
		})
	}
	return c, err
}

// connect makes a client that is welcome and reads.
func (e *env) connect(hellos ...hello) *peer {
	e.Helper()
	p := e.idle(hellos...)
	p.resume()
	return p
}

// idle makes a client that is welcome and does not read on until resume.
func (e *env) idle(hellos ...hello) *peer {
	e.Helper()
	c, err := e.dial(hellos...)
	if err != nil {
		e.Fatalf("dial: %v", err)
	}
	return e.greet(c)
}

// greet reads the welcome.
func (e *env) greet(c comm.Carrier) *peer {
	e.Helper()
	p := &peer{e: e, carrier: c, read: make(chan struct{}), frames: make(chan *comm.Frame, maxUnread)}
	f, err := c.Receive(e.bounded())
	if err != nil || f.Op != comm.OpWelcome {
		e.Fatalf("first frame: %s, %v, want welcome", show(f), err)
	}
	p.welcome, p.expires = *f.Welcome, f.Expires
	return p
}

// refused makes a client that must not be welcome, and returns what it was told.
func (e *env) refused(hellos ...hello) error {
	e.Helper()
	c, err := e.dial(hellos...)
	if err != nil {
		return err
	}
	var errs []error
	for {
		f, err := c.Receive(e.bounded())
		switch {
		case err != nil:
			return errors.Join(append(errs, err)...)
		case f.Op == comm.OpError:
			e.forPeople(f)
			errs = append(errs, &comm.PeerError{Code: f.Code, Message: f.Text})
		case f.Op == comm.OpClosing:
			return errors.Join(append(errs, comm.CloseReason{Kind: comm.ReasonOfCode(f.Code), Text: f.Text})...)
		default:
			e.Fatalf("not refused: %s", show(f))
		}
	}
}

// resume lets the peer read, until its carrier ends.
func (p *peer) resume() {
	p.started.Do(func() {
		go func() {
			defer close(p.frames)
			for {
				f, err := p.carrier.Receive(context.Background())
				if err != nil {
					p.err = err
					return
				}
				switch f.Op {
				case comm.OpPing:
					p.carrier.Send(context.Background(), &comm.Frame{Op: comm.OpPong, ID: f.ID})
				case comm.OpPong:
				case comm.OpClosing:
					p.frames <- f
					p.hangUp() // as clients do; the server waits for it
				default:
					p.frames <- f
				}
			}
		}()
	})
}

// next returns the next frame; nil is the end.
func (p *peer) next() *comm.Frame {
	p.e.Helper()
	select {
	case f := <-p.frames:
		if f != nil {
			p.pos.Observe(f)
		}
		return f
	case <-time.After(patience):
		p.e.Fatal("no frame came")
		return nil
	}
}

// expect returns the next frame, which must be op.
func (p *peer) expect(op comm.Op) *comm.Frame {
	p.e.Helper()
	f := p.next()
	if f == nil || f.Op != op {
		p.e.Fatalf("got %s (end: %v), want %v", show(f), p.end(f), op)
	}
	return f
}

func (p *peer) end(f *comm.Frame) error {
	if f == nil {
		return p.err
	}
	return nil
}

// joined returns the place in the log that the next frame, joined, tells for a group.
func (p *peer) joined(group string) comm.LogPosition {
	p.e.Helper()
	f := p.expect(comm.OpJoined)
	if f.Group != group {
		p.e.Fatalf("joined %q, want %q", f.Group, group)
	}
	return f.Log
}

// gets expects messages with these numbers or strings as content, in this order and next.
func (p *peer) gets(contents ...any) (last *comm.Frame) {
	p.e.Helper()
	for i, want := range contents {
		f := p.next()
		if f == nil || f.Op != comm.OpMessage || text(f) != fmt.Sprint(want) {
			p.e.Fatalf("message %d: got %s (end: %v), want content %v", i, show(f), p.end(f), want)
		}
		last = f
	}
	return last
}

// text is a message's content: that of a JSON string without its quotes.
func text(f *comm.Frame) string {
	if s, err := comm.Decode[string](f.Message); err == nil {
		return s
	}
	return string(f.Message.Content())
}

// nothing makes sure that no frame is under way: what the server sends now is the next to come.
func (p *peer) nothing() {
	p.e.Helper()
	fence := "fence " + strconv.Itoa(p.ids)
	p.ids++
	d, err := p.e.m.Send(p.e.Context(), comm.ToConn(p.welcome.Conn), p.e.message("fence", fence), comm.WithPriority(comm.PriorityLow))
	if err != nil || d.Queued != 1 {
		p.e.Fatalf("fence: %+v, %v", d, err)
	}
	f := p.next()
	if f == nil || f.Message == nil || f.Message.Type() != "fence" {
		p.e.Fatalf("got %s (end: %v), want nothing more", show(f), p.end(f))
	}
}

// closed reads to the end and returns the closing frame's or the carrier's reason.
func (p *peer) closed() comm.CloseReason {
	p.e.Helper()
	for {
		f := p.next()
		if f == nil {
			if r, ok := errors.AsType[comm.CloseReason](p.err); ok {
				return r
			}
			return comm.CloseReason{Kind: comm.ReasonLost, Err: p.err}
		}
		if f.Op == comm.OpClosing {
			r := comm.CloseReason{Kind: comm.ReasonOfCode(f.Code), Text: f.Text}
			if f.Closing != nil {
				r.After = f.Closing.After
				if f.Closing.Reconnect != r.Reconnect() {
					p.e.Errorf("closing %v says reconnect %v", r.Kind, f.Closing.Reconnect)
				}
			}
			return r
		}
	}
}

// send sends a frame, with a new id where it has none.
func (p *peer) send(f *comm.Frame) string {
	p.e.Helper()
	if f.ID == "" {
		p.ids++
		f.ID = "p" + strconv.Itoa(p.ids)
	}
	if err := p.carrier.Send(p.e.bounded(), f); err != nil {
		p.e.Fatalf("send %s: %v", show(f), err)
	}
	return f.ID
}

// say sends a message of the client's.
func (p *peer) say(typ string, content any, opts ...comm.MessageOption) string {
	p.e.Helper()
	m, err := comm.NewMessage(typ, content, opts...)
	if err != nil {
		p.e.Fatal(err)
	}
	return p.send(&comm.Frame{Op: comm.OpMessage, ID: m.ID(), Message: m})
}

// call sends a call and returns its id.
func (p *peer) call(typ string, content any) string {
	p.e.Helper()
	m := p.e.message(typ, content)
	return p.send(&comm.Frame{Op: comm.OpCall, ID: m.ID(), Message: m})
}

// acked sends a message and expects that its handler returns well.
func (p *peer) acked(typ string, content any) {
	p.e.Helper()
	m := p.e.message(typ, content)
	p.send(&comm.Frame{Op: comm.OpMessage, ID: m.ID(), Ack: true, Message: m})
	if f := p.expect(comm.OpAck); f.ID != m.ID() {
		p.e.Fatalf("got %s, want the ack of %q", show(f), m.ID())
	}
}

// address is a message to others, as only a client can make it.
func (p *peer) address(op comm.Op, typ, to string, content string) string {
	p.e.Helper()
	p.ids++
	id := "p" + strconv.Itoa(p.ids)
	raw := fmt.Sprintf(`{"op":%q,"id":%q,"type":%q,"to":%q,"content":%s}`, op.String(), id, typ, to, content)
	f, err := comm.JSON().ParseFrame([]byte(raw))
	if err != nil {
		p.e.Fatal(err)
	}
	return p.send(f)
}

// fails expects an error frame for an id.
func (p *peer) fails(id string, code comm.Code) *comm.Frame {
	p.e.Helper()
	f := p.expect(comm.OpError)
	if f.ID != id || f.Code != code {
		p.e.Fatalf("got %s, want error %s for %q", show(f), code, id)
	}
	p.e.forPeople(f)
	return f
}

// forPeople checks the text of an error frame: it says something, and nothing of Go's package names.
func (e *env) forPeople(f *comm.Frame) {
	e.Helper()
	if f.Text == "" || strings.HasPrefix(f.Text, "comm: ") {
		e.Fatalf("the text of %s is not for people", show(f))
	}
}

// hangUp ends the client's side.
func (p *peer) hangUp() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p.carrier.Close(ctx)
}

// conn is the server's side.
func (p *peer) conn() *comm.Conn {
	p.e.Helper()
	c := p.e.m.Connection(p.welcome.Conn)
	if c == nil {
		p.e.Fatalf("connection %s is not registered", p.welcome.Conn)
	}
	return c
}
