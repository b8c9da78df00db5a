package commgrpc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The flags of a frame: bits of its first byte (PROTOCOL-WEB, Message framing).
const (
	flagCompressed = 0x01
	flagTrailers   = 0x80
)

// bodyUnit is how many bytes of a body must come, or of a response leave, for another timeout to begin.
const bodyUnit = 64 << 10

// webError is a request that is no gRPC-Web request, with the code by which it is told.
type webError struct {
	code codes.Code
	text string
}

func (e *webError) Error() string { return "gRPC-Web: " + e.text }

func webErrorf(code codes.Code, format string, args ...any) error {
	return &webError{code, fmt.Sprintf(format, args...)}
}

// readWeb reads the one message of a request, as the frame that gRPC has too.
func (m *mixed) readWeb(w http.ResponseWriter, r *http.Request, kind webKind) ([]byte, *status.Status) {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return nil, status.Newf(codes.Unimplemented, "content coding %q is not taken: compress the message, and say so by grpc-encoding", coding)
	}
	body := &timedBody{r: r.Body, rc: http.NewResponseController(w), limit: m.opts.bodyTimeout}
	frame, err := readFrame(body.as(kind), m.opts.maxReceive)
	body.end()
	switch {
	case err == nil:
		return frame, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, status.Newf(codes.DeadlineExceeded, "the request did not come: less than %d bytes in %v", bodyUnit, m.opts.bodyTimeout)
	}
	return nil, statusOf(err)
}

// readFrame reads a body that is one message of at most so many bytes, and returns it with its head.
func readFrame(r io.Reader, most int) ([]byte, error) {
	var head [frameHead]byte
	switch n, err := io.ReadFull(r, head[:]); {
	case err == io.EOF:
		return nil, webErrorf(codes.Unimplemented, "a request without a message")
	case err == io.ErrUnexpectedEOF:
		return nil, webErrorf(codes.Internal, "a message's head needs %d bytes, and %d came", frameHead, n)
	case err != nil:
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	switch {
	case head[0]&flagTrailers != 0:
		return nil, webErrorf(codes.Internal, "a request has no trailers")
	case head[0]&^byte(flagCompressed) != 0:
		return nil, webErrorf(codes.Internal, "flags %#02x of a message are unknown", head[0])
	case int64(size) > int64(most):
		return nil, webErrorf(codes.ResourceExhausted, "a message of %d bytes; at most %d are taken", size, most)
	}
	return readContent(r, head[:], int64(size))
}

// readContent reads the content of a message, which must be the end of the body. Memory is taken for what
// comes, not for what the head promises.
func readContent(r io.Reader, head []byte, size int64) ([]byte, error) {
	frame := bytes.NewBuffer(make([]byte, 0, frameHead+min(int(size), 4<<10)+bytes.MinRead))
	frame.Write(head)
	n, err := io.Copy(frame, io.LimitReader(r, size))
	switch {
	case err != nil:
		return nil, err
	case n < size:
		return nil, webErrorf(codes.Internal, "a message of %d bytes, and %d came", size, n)
	}
	switch n, err := io.ReadFull(r, make([]byte, 1)); {
	case n > 0:
		return nil, webErrorf(codes.Unimplemented, "more than one message in a request")
	case err != io.EOF:
		return nil, err
	}
	return frame.Bytes(), nil
}

// timedBody is a body that must come in time.
type timedBody struct {
	r     io.Reader
	rc    *http.ResponseController
	limit time.Duration
	fresh int // bytes until the next deadline
}

// as reads the body in one of its forms.
func (b *timedBody) as(kind webKind) io.Reader {
	if kind.text {
		return newTextReader(b)
	}
	return b
}

// Read sets a new deadline after each bodyUnit.
func (b *timedBody) Read(p []byte) (int, error) {
	if b.fresh <= 0 {
		_ = b.rc.SetReadDeadline(time.Now().Add(b.limit)) // a connection without deadlines has the manager's limits
		b.fresh = bodyUnit
	}
	n, err := b.r.Read(p)
	b.fresh -= n
	return n, err
}

// end takes the deadline away: what is read from then on is how the server learns that the client has gone.
func (b *timedBody) end() { _ = b.rc.SetReadDeadline(time.Time{}) }
