package ws

import "io"

// rawIO reads and writes a socket without going through a buffer of the
// connection's own: while a read waits, no buffer is held. The callback does
// one system call and returns; parsing, locks, user code and above all Close
// stay out of it, for Close waits for the callback to end. One reader and one
// writer may use a rawIO at the same time.
type rawIO struct {
	sys     rawConn
	readFn  func(fd uintptr) bool // stored once: a method value costs an allocation
	writeFn func(fd uintptr) bool

	in struct {
		dst   []byte  // where to read to, or nil for a pooled buffer
		stash []byte  // what the pooled buffer begins with
		size  int     // of the pooled buffer
		buf   *buffer // the pooled buffer with what was read
		n     int
		err   error
	}
	out struct {
		src []byte
		n   int
		err error
	}
}

// rawConn is the part of syscall.RawConn used here.
type rawConn interface {
	Read(f func(fd uintptr) (done bool)) error
	Write(f func(fd uintptr) (done bool)) error
}

// fill waits for bytes and returns them in a pooled buffer behind stash.
func (r *rawIO) fill(size int, stash []byte) (*buffer, error) {
	r.in.dst, r.in.size, r.in.stash = nil, size, stash
	if err := r.wait(); err != nil {
		return nil, err
	}
	b := r.in.buf
	r.in.buf = nil
	return b, nil
}

// read waits for bytes and reads them into p.
func (r *rawIO) read(p []byte) (int, error) {
	r.in.dst = p
	err := r.wait()
	r.in.dst = nil
	return r.in.n, err
}

func (r *rawIO) wait() error {
	r.in.n, r.in.err, r.in.buf = 0, nil, nil
	if err := r.sys.Read(r.readFn); err != nil {
		return err
	}
	if r.in.err == nil && r.in.n == 0 {
		return io.EOF
	}
	return r.in.err
}

// try writes what the socket takes without waiting. It may be less than p
// without an error.
func (r *rawIO) try(p []byte) (int, error) {
	r.out.src, r.out.n, r.out.err = p, 0, nil
	err := r.sys.Write(r.writeFn)
	r.out.src = nil
	if err != nil {
		if timeout(err) { // a deadline left from before; the caller sets a new one
			return 0, nil
		}
		return 0, err
	}
	return r.out.n, r.out.err
}
