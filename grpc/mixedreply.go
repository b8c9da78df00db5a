package commgrpc

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// replyDeadline has what is written to a client leave in time: each bodyUnit of it within the limit.
type replyDeadline struct {
	rc    *http.ResponseController
	limit time.Duration
	fresh int       // bytes until the next one
	armed time.Time // when the last one was set
}

// arm sets a write deadline before the next n bytes. The last one stays: it bounds what net/http writes after
// the handler, and the manager clears it for the connection's next request.
func (d *replyDeadline) arm(n int) {
	now := time.Now()
	if d.fresh -= n; d.fresh > 0 && now.Sub(d.armed) < d.limit/8 {
		return
	}
	_ = d.rc.SetWriteDeadline(now.Add(d.limit)) // a connection without deadlines has the manager's limits
	d.fresh, d.armed = bodyUnit, now
}

// writePieces writes p in pieces, each of which is told of before.
func writePieces(write func([]byte) (int, error), before func(n int), p []byte) (written int, err error) {
	for len(p) > 0 && err == nil {
		n := min(len(p), bodyUnit)
		before(n)
		n, err = write(p[:n])
		written, p = written+n, p[n:]
	}
	return written, err
}

// reply is the ResponseWriter of a call of gRPC that net/http carries. While its handler runs, that decides for how long
// it waits for the client. What is left when the handler has returned has to leave in time: nothing else would end that
// wait, and the stream with it, as long as the client's connection lives.
type reply struct {
	http.ResponseWriter

	mu       sync.Mutex // guards the fields below
	deadline replyDeadline
	ended    bool // the handler has returned
	over     bool // the request is served, and the ResponseWriter no longer ours
}

func newReply(w http.ResponseWriter, limit time.Duration) *reply {
	return &reply{ResponseWriter: w, deadline: replyDeadline{rc: http.NewResponseController(w), limit: limit}}
}

// Unwrap lets http.ResponseController reach the connection.
func (r *reply) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Write writes a part of a message.
func (r *reply) Write(p []byte) (int, error) { return writePieces(r.ResponseWriter.Write, r.arm, p) }

// Flush ends a message.
func (r *reply) Flush() {
	r.arm(0)
	_ = r.deadline.rc.Flush() // the gRPC server does not ask what became of it
}

func (r *reply) arm(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended && !r.over {
		r.deadline.arm(n)
	}
}

// end says that the handler has returned. A write may wait for the client already.
func (r *reply) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended && !r.over {
		r.ended = true
		r.deadline.arm(bodyUnit)
	}
}

// close says that the request is served. The handler may still run, if the client has gone.
func (r *reply) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
}

// exchange is what the interceptors of a call know of the request that carries it.
type exchange struct {
	body  *pacedBody
	reply *reply
}

type exchangeKey struct{}

func withExchange(ctx context.Context, x *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

// exchangeOf is the exchange of a call, or nil: gRPC-Web has none.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}
