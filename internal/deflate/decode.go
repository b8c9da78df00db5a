package deflate

import (
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// Errors of decompression.
var (
	ErrTooLong = errors.New("deflate: message longer than the limit")
	ErrCorrupt = errors.New("deflate: corrupt data")
)

// ending completes a message for a flate reader: the sync flush's tail that
// the sender took off, and an empty final block so that the reader sees EOF.
const ending = tail + "\x01\x00\x00\xff\xff"

// source feeds a flate reader: a message's bytes, then the ending. It is an
// io.ByteReader so that flate takes no byte more than it needs.
type source struct {
	p    []byte    // what is at hand of the message
	more io.Reader // brings the rest of it; nil when p is all
	end  string    // what is left of the ending
	buf  []byte
}

func (s *source) ReadByte() (byte, error) {
	if !s.fill() {
		if s.end == "" {
			return 0, io.EOF
		}
		b := s.end[0]
		s.end = s.end[1:]
		return b, nil
	}
	b := s.p[0]
	s.p = s.p[1:]
	return b, nil
}

func (s *source) Read(p []byte) (int, error) {
	if s.fill() {
		n := copy(p, s.p)
		s.p = s.p[n:]
		return n, nil
	}
	if s.end == "" {
		return 0, io.EOF
	}
	n := copy(p, s.end)
	s.end = s.end[n:]
	return n, nil
}

// fill reports whether bytes of the message itself are at hand. A failed read
// ends the message here; Reader then reports the reading's own error.
func (s *source) fill() bool {
	for len(s.p) == 0 && s.more != nil {
		if s.buf == nil {
			s.buf = make([]byte, 4096)
		}
		n, err := s.more.Read(s.buf)
		s.p = s.buf[:n]
		if err != nil {
			s.more = nil
		}
	}
	return len(s.p) > 0
}

// inflater is a flate reader and its source, lent for one message.
type inflater struct {
	fr  io.ReadCloser
	src source
}

var inflaters = sync.Pool{New: func() any {
	f := new(inflater)
	f.fr = flate.NewReader(&f.src)
	return f
}}

func (f *inflater) start(window []byte) {
	f.src.end = ending
	_ = f.fr.(flate.Resetter).Reset(&f.src, window) // documented to be implemented; never fails
}

func (f *inflater) giveBack() {
	f.src.p, f.src.more, f.src.end = nil, nil, ""
	inflaters.Put(f)
}

// Decoder decompresses the messages one end receives. Not safe for concurrent
// use. Between messages it keeps the window that its side's context needs.
type Decoder struct {
	side   Side
	window []byte
}

// NewDecoder returns a decoder for the parameters of the side that compresses.
func NewDecoder(side Side) *Decoder { return &Decoder{side: side} }

// Append appends the message compressed in src to dst. A message that would
// be longer than limit bytes is ErrTooLong; limit < 0 is none. src is read
// from, dst may not overlap it.
func (d *Decoder) Append(dst, src []byte, limit int64) ([]byte, error) {
	f := inflaters.Get().(*inflater)
	defer f.giveBack()
	f.src.p = src
	f.start(d.window)
	from := len(dst)
	for {
		dst = slices.Grow(dst, room(len(dst)-from, len(src)))
		n, err := f.fr.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if limit >= 0 && int64(len(dst)-from) > limit {
			return dst, ErrTooLong
		}
		switch {
		case err == nil:
		case err != io.EOF:
			return dst, fmt.Errorf("%w: %w", ErrCorrupt, err)
		case len(f.src.p) > 0: // a final block inside the message is legal (RFC 7692 7.2.3.4)
			f.start(lastWindow(slices.Clone(d.window), dst[from:], MaxBits))
		default:
			d.remember(dst[from:])
			return dst, nil
		}
	}
}

// room is how many bytes to have free: text shrinks to about a quarter, and
// what is claimed never exceeds what was received by much.
func room(have, compressed int) int {
	if have == 0 {
		return max(64, 4*compressed)
	}
	return max(512, have/4)
}

func (d *Decoder) remember(out []byte) {
	if d.side.Takeover {
		d.window = lastWindow(d.window, out, d.side.Bits)
	}
}

// lastWindow returns the last 1<<bits bytes of old followed by out, in old's
// memory where it fits.
func lastWindow(old, out []byte, bits int) []byte {
	size := 1 << bits
	if len(out) >= size {
		return append(old[:0], out[len(out)-size:]...)
	}
	if over := len(old) + len(out) - size; over > 0 {
		old = old[:copy(old, old[over:])]
	}
	return append(old, out...)
}

// Reader decompresses one message while it arrives.
type Reader struct {
	d     *Decoder
	f     *inflater
	limit int64
	read  int64
	err   error  // what every Read after the end returns
	hist  []byte // the window as it stands, kept for the next message or block
	cause func() error
}

// Reader returns a reader of the message whose compressed bytes src brings.
// cause, if not nil, is asked after src ended whether that was its true end;
// its error then stands for the reader's own.
func (d *Decoder) Reader(src io.Reader, limit int64, cause func() error) *Reader {
	f := inflaters.Get().(*inflater)
	f.src.more = src
	f.start(d.window)
	return &Reader{d: d, f: f, limit: limit, hist: d.window, cause: cause}
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	for r.err == nil {
		n, err := r.f.fr.Read(p)
		r.read += int64(n)
		r.hist = lastWindow(r.hist, p[:n], MaxBits)
		if r.limit >= 0 && r.read > r.limit {
			return 0, r.end(ErrTooLong)
		}
		switch {
		case err != nil && r.cause != nil && r.cause() != nil:
			return n, r.end(r.cause())
		case err != nil && err != io.EOF:
			return n, r.end(fmt.Errorf("%w: %w", ErrCorrupt, err))
		case err == io.EOF && r.f.src.fill():
			r.f.start(r.hist)
		case err == io.EOF:
			if r.d.side.Takeover {
				r.d.window = lastWindow(nil, r.hist, r.d.side.Bits)
			}
			return n, r.end(io.EOF)
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
	return 0, r.err
}

// end gives the inflater back, once.
func (r *Reader) end(err error) error {
	if r.f != nil {
		r.f.giveBack()
		r.f = nil
	}
	r.err = err
	return err
}

// Close gives the reader's memory back before the message's end.
func (r *Reader) Close() { _ = r.end(io.ErrClosedPipe) }
