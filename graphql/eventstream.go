package graphql

import (
	"context"
	"errors"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/jsonscan"
	"github.com/anasamu/comm/sse"
)

// eventStream is one event stream: the carrier of its subscriber. In the distinct connections mode its events
// are the responses of one operation, in the single connection mode each names its operation.
type eventStream struct {
	single bool
	s      *Subscriber
	stream *sse.Stream   // once begun is closed
	begun  chan struct{} // operations of the single connection mode may come before the response has begun

	mu     sync.Mutex // guards closed, and the moment of begun
	closed bool       // perhaps before it has begun

	writing atomic.Bool // a write has not ended well yet
	counted int64       // bytes the hub was told of; under Subscriber.say
	buf     []byte      // under Subscriber.say
}

func newEventStream(single bool) *eventStream {
	return &eventStream{single: single, begun: make(chan struct{})}
}

// accept begins the response, unless the stream was closed meanwhile.
func (e *eventStream) accept(a *sse.Acceptor, w http.ResponseWriter, r *http.Request) error {
	stream, err := a.Accept(w, r)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.stream = stream
	close(e.begun)
	closed := e.closed
	e.mu.Unlock()
	if closed {
		return errors.Join(errStopping, stream.CloseBy(time.Now()))
	}
	return nil
}

func (e *eventStream) next(id string, response []byte) error {
	if !e.single {
		return e.send("next", response)
	}
	e.buf = append(jsonscan.AppendString(append(e.buf[:0], `{"id":`...), id), `,"payload":`...)
	e.buf = append(append(e.buf, response...), '}')
	err := e.send("next", e.buf)
	if cap(e.buf) > maxSaid {
		e.buf = nil
	}
	return err
}

// refuse tells what is wrong as a response, so that the client learns it from the stream that it reads.
func (e *eventStream) refuse(id string, response []byte, errs []*Error) error {
	if response == nil {
		response = append(appendErrors([]byte{'{'}, errs), '}')
	}
	if err := e.next(id, response); err != nil {
		return err
	}
	return e.complete(id)
}

func (e *eventStream) complete(id string) error {
	if !e.single {
		return e.send("complete", nil)
	}
	return e.send("complete", append(jsonscan.AppendString([]byte(`{"id":`), id), '}'))
}

// send sends one event, and waits while the client does not read.
func (e *eventStream) send(event string, data []byte) error {
	select {
	case <-e.begun:
	case <-e.s.ctx.Done():
		return context.Cause(e.s.ctx)
	}
	e.writing.Store(true)
	err := e.stream.Send(context.Background(), sse.Event{Type: event, Data: data})
	if err == nil {
		e.writing.Store(false)
	}
	if hub := e.s.hub; hub != nil {
		sent := e.stream.BytesSent()
		hub.said(int(sent - e.counted))
		e.counted = sent
	}
	return err
}

// close ends the stream.
func (e *eventStream) close(_ comm.CloseReason, deadline time.Time) {
	e.mu.Lock()
	e.closed = true
	stream := e.stream
	e.mu.Unlock()
	if stream != nil {
		_ = stream.CloseBy(deadline)
	}
}

// reason says to the manager why the stream has ended, where the manager did not end it.
func (e *eventStream) reason() comm.CloseReason {
	err := e.stream.Err()
	switch {
	case err == nil:
		return comm.CloseReason{Kind: comm.ReasonNormal, Text: "the operation is complete"}
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return comm.CloseReason{Kind: comm.ReasonLost, Err: err}
	case e.writing.Load():
		return comm.CloseReason{Kind: comm.ReasonSlow, Text: "a write timed out", Err: err}
	}
	return comm.CloseReason{Kind: comm.ReasonHeartbeat, Text: "a heartbeat was not taken", Err: err}
}
