package commquic

import (
	"errors"
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
	// firstPiece is how much memory a client's announced length is believed for; more comes as bytes do. A server
	// is believed more.
	firstPiece       = 256 << 10
	firstOfTheServer = 8 << 20
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
	first      int // of a large one, how much memory it gets at once
	buf        []byte
	start, end int
	part       []byte // of a large frame, whose size partSize is
	partSize   int
	taken      int    // bytes read since it was last asked
	alone      string // the address of a message without one: the receiver's, on the default lane
}

func newFrameStream(r io.Reader, most int) *frameStream {
	return &frameStream{r: r, most: most, first: firstPiece}
}

// parse reads the next frame. A *comm.FrameError is one that breaks the form: the next one can be read.
// io.EOF is the end of the stream between two frames.
func (s *frameStream) parse() (*comm.Frame, error) {
	b, own, err := s.next()
	if err != nil {
		return nil, err
	}
	return parseFrameTo(b, own, s.alone)
}

// next returns the next frame's bytes, which are valid until the next call, or for ever with own. A call that a
// deadline interrupts is taken up by the next one.
func (s *frameStream) next() (b []byte, own bool, err error) {
	for s.part == nil {
		_, _, size, err := frameSize(s.buf[s.start:s.end])
		switch {
		case err != nil: // the head is not whole
		case size > uint64(s.most):
			return nil, false, &tooLarge{size, uint64(s.most)}
		case size >= ownFrame && size > uint64(s.end-s.start):
			s.begin(int(size))
			continue
		case size <= uint64(s.end-s.start):
			b := s.buf[s.start : s.start+int(size) : s.start+int(size)]
			s.start += int(size)
			return b, false, nil
		}
		if err := s.fill(); err != nil {
			return nil, false, err
		}
	}
	b, err = s.large()
	return b, true, err
}

// buffered reports whether a whole frame, or one that is refused, is here already.
func (s *frameStream) buffered() bool {
	if s.part != nil {
		return false
	}
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

// begin gives a large frame memory of its own.
func (s *frameStream) begin(size int) {
	s.part = make([]byte, 0, min(size, max(s.first, 2*(s.end-s.start))))
	s.part = append(s.part, s.buf[s.start:s.end]...)
	s.partSize = size
	s.start, s.end = 0, 0
}

// large reads a large frame to its end. Its memory grows with what really comes.
func (s *frameStream) large() ([]byte, error) {
	for len(s.part) < s.partSize {
		if len(s.part) == cap(s.part) {
			size := 4 * cap(s.part)
			if size += size / 4; size < s.partSize { // or else the rest at once
				size = 4 * cap(s.part)
			}
			grown := make([]byte, len(s.part), min(s.partSize, size))
			copy(grown, s.part)
			s.part = grown
		}
		n, err := s.r.Read(s.part[len(s.part):cap(s.part)])
		s.part = s.part[:len(s.part)+n]
		s.taken += n
		if n == 0 && err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	b := s.part
	s.part = nil
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

// laneHead is what the frame that opens a lane says of it.
type laneHead struct {
	name     string
	priority comm.Priority
}

// lane reads the frame that opens a lane.
func (s *frameStream) lane() (h laneHead, err error) {
	b, _, err := s.next()
	if err != nil {
		return h, err
	}
	return parseLane(b)
}

func parseLane(b []byte) (h laneHead, err error) {
	typ, head, _, _ := frameSize(b) // the reader has seen to it
	if typ != typeLane {
		return h, &formError{"a unidirectional stream must begin with the frame lane"}
	}
	p := frameParser{payload: b[head:]}
	err = p.scan()
	priority, perr := p.number(keyPriority)
	if err = errors.Join(err, perr); err != nil {
		return h, &formError{"the frame lane: " + err.Error()}
	}
	name := p.raw(keyLane)
	if len(name) > comm.MaxNameLength || !plain(name) {
		return h, &formError{"the frame lane: allowed is a name of at most 128 bytes of UTF-8 without control characters"}
	}
	if priority > uint64(comm.PriorityLow) {
		priority = uint64(comm.PriorityNormal) // of a later version
	}
	return laneHead{string(name), comm.Priority(priority)}, nil
}

// appendLane appends the frame that opens a lane. A name that the form does not allow is left out: it is there for
// people alone.
func appendLane(dst []byte, h laneHead) []byte {
	w := fieldWriter{b: append(dst, typeLane, 0, 0)}
	start := len(w.b)
	if len(h.name) <= comm.MaxNameLength && plain([]byte(h.name)) {
		w.text(keyLane, h.name)
	}
	if h.priority != comm.PriorityNormal {
		w.number(keyPriority, uint64(h.priority))
	}
	return closeLength(w.b, start-2, start)
}
