package commhttp

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// A slow peer must move this many bytes within each deadline to be given another:
// at the default of 30 s that is about 2 kB/s in, and 9 kB/s out through sendfile.
const (
	readUnit  = 64 << 10
	writeUnit = 256 << 10
)

// Deadlines bounds how long the client may take to send a request's body and to
// receive the answer, by deadlines on the connection (HTTP/1.1) or stream (HTTP/2).
//
// The body has read to arrive, counted from the handler's first Read and anew after
// each 64 KiB; Read then fails with [os.ErrDeadlineExceeded]. The response has write
// from the request's start, and anew from each write of it: a handler that writes
// nothing for so long, or a client that takes nothing, ends the connection or stream,
// while a slow but steady download goes on. Zero means no bound. Streams are exempt
// (see [Stream]).
//
// On HTTP/1.1 the last write deadline stays on the connection after the handler, so
// that a client cannot hold up the end of a response: put Deadlines outside of all that
// answers. Every request through this
// middleware sets or clears it; other handlers on the same connection must clear it
// themselves, with [http.ResponseController.SetWriteDeadline].
func Deadlines(read, write time.Duration) (Middleware, error) {
	if read < 0 || write < 0 {
		return nil, fmt.Errorf("commhttp: deadlines of %v and %v: must not be negative", read, write)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, orig *http.Request) {
			x, w, r := enter(w, orig)
			d := &x.deadlines
			body := hasBody(r)
			d.start(x.w, read, write, body)
			defer d.end()
			x.info.onStream(d)
			if body {
				r = withBody(r, orig, &timedBody{r.Body, d})
			}
			serve(next, w, r, orig)
		})
	}, nil
}

func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

// withBody gives r another body; in a copy if r is still the outer handlers' own.
func withBody(r, orig *http.Request, body io.ReadCloser) *http.Request {
	if r == orig {
		copied := *r
		r = &copied
	}
	r.Body = body
	return r
}

// deadlines arms the deadlines of one exchange. A handler that [Timeout] gave up on
// may still hold the request's body, so all of it is under a lock, and nothing
// touches the connection after end.
type deadlines struct {
	read, write time.Duration

	mu         sync.Mutex
	w          http.ResponseWriter // nil before start, after end, and if it has no deadlines
	off        bool                // the response is a stream
	writeArmed time.Time
	readArmed  bool
	unread     bool // there is a body, and its end has not been seen
	unit       int  // bytes read since the read deadline was armed
	ended      bool
}

func (d *deadlines) start(w http.ResponseWriter, read, write time.Duration, body bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.w, d.read, d.write, d.unread = w, read, write, body
	d.armWrite(time.Now())
}

// armWrite also clears what an earlier request may have left: with a write of 0 the
// deadline is none.
func (d *deadlines) armWrite(now time.Time) {
	var deadline time.Time
	if d.write > 0 {
		deadline = now.Add(d.write)
	}
	d.writeArmed = now
	if err := http.NewResponseController(d.w).SetWriteDeadline(deadline); errors.Is(err, http.ErrNotSupported) {
		d.w = nil
	}
}

func (d *deadlines) armRead() {
	d.readArmed, d.unit = true, 0
	_ = http.NewResponseController(d.w).SetReadDeadline(time.Now().Add(d.read))
}

// clearRead matters as soon as the body is complete: net/http goes on reading, to see
// the client leave, and takes a deadline for that.
func (d *deadlines) clearRead() {
	if d.readArmed && d.w != nil {
		_ = http.NewResponseController(d.w).SetReadDeadline(time.Time{})
	}
	d.readArmed = false
}

// progress gives the response more time, in steps of a quarter to spare the timers.
func (d *deadlines) progress() {
	if d.write == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.w != nil && !d.off {
		d.renewWrite()
	}
}

// renewWrite leaves a deadline that has passed: HTTP/2 has reset the stream by then, and
// HTTP/1.1 is to be no different.
func (d *deadlines) renewWrite() {
	now := time.Now()
	if elapsed := now.Sub(d.writeArmed); elapsed > d.write/4 && elapsed < d.write {
		d.armWrite(now)
	}
}

// readFrom is rf.ReadFrom(src) in pieces, so that each piece of a long file has its
// deadline. sendfile knows a LimitedReader around a file but not one around another,
// hence the unwrapping.
func (d *deadlines) readFrom(rf io.ReaderFrom, src io.Reader) (total int64, err error) {
	if d.write == 0 {
		return rf.ReadFrom(src)
	}
	limited, _ := src.(*io.LimitedReader)
	piece := io.LimitedReader{R: src}
	if limited != nil {
		piece.R = limited.R
	}
	for {
		piece.N = writeUnit
		if limited != nil {
			piece.N = min(piece.N, limited.N)
		}
		want := piece.N
		d.progress()
		n, err := rf.ReadFrom(&piece)
		total += n
		if limited != nil {
			limited.N -= n
		}
		if err != nil || n < want || want <= 0 {
			return total, err
		}
	}
}

// lift takes the deadlines off a response that has become a stream.
func (d *deadlines) lift() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
	if d.w != nil {
		_ = http.NewResponseController(d.w).SetWriteDeadline(time.Time{})
		d.clearRead()
	}
}

// release leaves the connection to whoever hijacked it.
func (d *deadlines) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.w = nil
}

// end arms the deadlines a last time, for what net/http does after the handler:
// flushing its buffers, and reading what the handler left of the body.
func (d *deadlines) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.w != nil {
		switch {
		case d.write == 0:
		case d.off:
			d.armWrite(time.Now())
		default:
			d.renewWrite()
		}
		if d.w != nil && d.read > 0 && d.unread {
			d.armRead()
		}
	}
	d.w, d.ended = nil, true
}

// beforeRead reports whether the body may still be read.
func (d *deadlines) beforeRead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.w != nil && d.read > 0 && !d.off && d.unread && (!d.readArmed || d.unit >= readUnit) {
		d.armRead()
	}
	return !d.ended
}

func (d *deadlines) afterRead(n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unit += n
	if err != nil {
		d.unread = false
	}
	if err == io.EOF {
		d.clearRead()
	}
}

// timedBody is a request body under deadlines.
type timedBody struct {
	io.ReadCloser
	d *deadlines
}

func (b *timedBody) Read(p []byte) (int, error) {
	if !b.d.beforeRead() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.ReadCloser.Read(p)
	b.d.afterRead(n, err)
	return n, err
}
