package ws

import (
	"errors"
	"io"
	"os"
	"sync"

	"github.com/anasamu/comm/internal/rawconn"
)

// errAgain asks to read again: a signal came in between.
var errAgain = errors.New("ws: read interrupted")

// rawIO reads and writes a socket without going through a buffer of the
// connection's own: while a read waits, no buffer is held, and while nothing
// is under way, nothing but this. The callback does one system call and
// returns; parsing, locks, user code and above all Close stay out of it, for
// Close waits for the callback to end. One reader and one writer may use a
// rawIO at the same time.
type rawIO struct {
	sys rawconn.Conn
	in  *rawRead // the reader's, from prepare to release
}

// rawRead is a read under way.
type rawRead struct {
	fn    func(fd uintptr) bool // attempt, stored once: a method value costs an allocation
	dst   []byte                // where to read to, and what was read; nil for a pooled buffer
	buf   *buffer               // the pooled one
	err   errno                 // EAGAIN: interrupted
	size  int32                 // of the pooled buffer
	once  bool                  // do not wait
	first [16]byte              // what a read that waits on a small stack brings
}

// rawReads makes them where there is a direct path.
var rawReads sync.Pool

// prepare sets where the next wait reads to: into p, or into a pooled buffer
// of size bytes, borrowed when bytes are there.
func (r *rawIO) prepare(p []byte, size int) {
	if r.in == nil {
		r.in = rawReads.Get().(*rawRead)
	}
	r.in.dst, r.in.size = p, int32(size)
	r.in.err, r.in.buf = 0, nil
}

// release ends what prepare began, once its result has been taken over.
func (r *rawIO) release() {
	rawReads.Put(r.in)
	r.in = nil
}

// prepareSmall is prepare for a wait that needs little stack: not even the
// pool is called from its callback.
func (r *rawIO) prepareSmall() {
	r.prepare(nil, 0)
	r.in.dst = r.in.first[:]
}

// wait waits for bytes and reads them.
func (r *rawIO) wait() error { return r.sys.Read(r.in.fn) }

// result is what wait, whose error is given, has brought: a number of bytes,
// in a pooled buffer if there was no other place for them.
func (r *rawIO) result(err error) (*buffer, int, error) {
	b, n := r.in.buf, len(r.in.dst)
	if b != nil {
		n = len(b.b)
	}
	r.in.buf, r.in.dst = nil, nil
	switch {
	case err != nil:
		return nil, 0, err
	case r.in.err == errnoAgain:
		return nil, 0, errAgain
	case r.in.err != 0:
		return nil, 0, os.NewSyscallError("read", r.in.err)
	case n == 0:
		return nil, 0, io.EOF
	}
	return b, n, nil
}

// look is wait without waiting: its result is errAgain if nothing is there.
func (r *rawIO) look(size int) error {
	r.prepare(nil, size)
	return r.readNow()
}

func (r *rawIO) readNow() error {
	r.in.once = true
	err := r.sys.Read(r.in.fn)
	r.in.once = false
	return err
}

// more reads into p what is there without waiting.
func (r *rawIO) more(p []byte) int {
	r.prepare(p, 0)
	_, n, err := r.result(r.readNow())
	if err != nil {
		return 0 // the next wait meets it again
	}
	return n
}

// try writes what the socket takes without waiting. It may be less than p
// without an error.
func (r *rawIO) try(p []byte) (int, error) {
	n, err := rawconn.Write(r.sys, p)
	if timeout(err) { // a deadline left from before; the caller sets a new one
		err = nil
	}
	return n, err
}
