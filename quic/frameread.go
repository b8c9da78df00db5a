package commquic

import (
	"fmt"
	"io"

	"github.com/anasamu/comm"
)

const (
	// readBuffer is what a stream holds while it waits, and largeBuffer what it reads into while much comes.
	readBuffer  = 2 << 10
	largeBuffer = 32 << 10
	// ownFrame is the size from which a frame gets memory of its own, which the message keeps.
	ownFrame = 16 << 10
	// firstPiece is how much memory a frame's announced length is believed for; more comes as bytes do.
	firstPiece = 256 << 10
)

// tooLarge is a frame over the limit: the stream's place is lost, so it ends the connection.
type tooLarge struct{ size, most uint64 }

func (e *tooLarge) Error() string {
	return fmt.Sprintf("a frame of %d bytes: allowed is %d", e.size, e.most)
}

// frameStream reads the frames of one stream. One goroutine uses it.
type frameStream struct {
	r          io.Reader
	most       int // bytes of one frame
	buf        []byte
	start, end int
	taken      int // bytes read since it was last asked
}

func newFrameStream(r io.Reader, most int) *frameStream {
	return &frameStream{r: r, most: most}
}

// parse reads the next frame. A *comm.FrameError is one that breaks the form: the next one can be read.
// io.EOF is the end of the stream between two frames.
func (s *frameStream) parse() (*comm.Frame, error) {
	b, own, err := s.next()
	if err != nil {
		return nil, err
	}
	return parseFrame(b, own)
}

// next returns the next frame's bytes, which are valid until the next call, or for ever with own.
func (s *frameStream) next() (b []byte, own bool, err error) {
	for {
		_, _, size, err := frameSize(s.buf[s.start:s.end])
		switch {
		case err != nil: // the head is not whole
		case size > uint64(s.most):
			return nil, false, &tooLarge{size, uint64(s.most)}
		case size >= ownFrame && size > uint64(s.end-s.start):
			b, err := s.large(int(size))
			return b, true, err
		case size <= uint64(s.end-s.start):
			b := s.buf[s.start : s.start+int(size) : s.start+int(size)]
			s.start += int(size)
			return b, false, nil
		}
		if err := s.fill(); err != nil {
			return nil, false, err
		}
	}
}

// buffered reports whether a whole frame, or one that is refused, is here already.
func (s *frameStream) buffered() bool {
	_, _, size, err := frameSize(s.buf[s.start:s.end])
	return err == nil && (size <= uint64(s.end-s.start) || size > uint64(s.most))
}

// fill reads once. What is here already moves to the front, and the buffer grows while reads fill it.
func (s *frameStream) fill() error {
	if s.start == s.end {
		s.start, s.end = 0, 0
	}
	if s.end == len(s.buf) || s.start > len(s.buf)/2 {
		s.room()
	}
	n, err := s.r.Read(s.buf[s.end:])
	s.end += n
	s.taken += n
	if n > 0 {
		return nil
	}
	if err == io.EOF && s.start < s.end {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (s *frameStream) room() {
	held := s.buf[s.start:s.end]
	size := max(readBuffer, len(s.buf))
	if len(held) == len(s.buf) {
		size = max(size, min(2*len(s.buf), ownFrame+maxHeader))
	}
	if s.start == 0 && s.end > 0 { // it was filled at once: more will come
		size = max(size, largeBuffer)
	}
	if size > len(s.buf) {
		grown := make([]byte, size)
		copy(grown, held)
		s.buf = grown
	} else {
		copy(s.buf, held)
	}
	s.start, s.end = 0, len(held)
}

// large reads a frame into memory of its own, which grows with what really comes.
func (s *frameStream) large(size int) ([]byte, error) {
	b := make([]byte, 0, min(size, max(firstPiece, 2*(s.end-s.start))))
	b = append(b, s.buf[s.start:s.end]...)
	s.start, s.end = 0, 0
	for len(b) < size {
		if len(b) == cap(b) {
			grown := make([]byte, len(b), min(size, 2*cap(b)))
			copy(grown, b)
			b = grown
		}
		n, err := s.r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		s.taken += n
		if n == 0 && err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return b, nil
}

// read returns how many bytes were read since the last call.
func (s *frameStream) read() (n int) {
	n, s.taken = s.taken, 0
	return n
}

// formError is a stream that breaks the rules of streams, which ends the connection.
type formError struct{ text string }

func (e *formError) Error() string { return e.text }

// lane reads the frame that opens a lane, and returns the lane's name.
func (s *frameStream) lane() (string, error) {
	b, _, err := s.next()
	if err != nil {
		return "", err
	}
	typ, head, _, _ := frameSize(b) // next has read it
	if typ != typeLane {
		return "", &formError{"a unidirectional stream must begin with the frame lane"}
	}
	p := frameParser{payload: b[head:]}
	if err := p.scan(); err != nil {
		return "", &formError{"the frame lane: " + err.Error()}
	}
	if name := p.raw(keyLane); len(name) <= comm.MaxNameLength && plain(name) {
		return string(name), nil
	}
	return "", &formError{"the frame lane: the name may have 128 bytes of UTF-8 without control characters"}
}

// appendLane appends the frame that opens a lane.
func appendLane(dst []byte, name string) []byte {
	w := fieldWriter{b: append(dst, typeLane, 0, 0)}
	start := len(w.b)
	w.text(keyLane, name)
	return closeLength(w.b, start)
}
