package commgrpc

import (
	"bytes"
	"encoding/base64"
	"io"

	"google.golang.org/grpc/codes"
)

// The text form of gRPC-Web is base64 in pieces that were encoded by themselves, each with its padding, and
// that may end anywhere (PROTOCOL-WEB, Text-encoded streams).

// textReader decodes such a body.
type textReader struct {
	r     io.Reader
	buf   []byte // as read
	coded []byte // of buf: not decoded yet
	plain []byte // decoded, not read yet
	store []byte // behind plain
	err   error
}

func newTextReader(r io.Reader) *textReader {
	return &textReader{r: r, buf: make([]byte, 4<<10), store: make([]byte, 0, 3<<10)}
}

// Read decodes what comes as soon as a group of four is whole.
func (t *textReader) Read(p []byte) (int, error) {
	for len(t.plain) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		t.fill()
	}
	n := copy(p, t.plain)
	t.plain = t.plain[n:]
	return n, nil
}

func (t *textReader) fill() {
	kept := copy(t.buf, t.coded)
	n, err := t.r.Read(t.buf[kept:])
	t.coded, t.err = t.buf[:kept+n], err
	whole := len(t.coded) &^ 3
	var bad error
	if t.plain, bad = appendPlain(t.store[:0], t.coded[:whole]); bad != nil {
		t.err = bad
	}
	t.coded = t.coded[whole:]
	if t.err == io.EOF && len(t.coded) > 0 {
		t.err = webErrorf(codes.Internal, "base64 ends within a group of four")
	}
}

// appendPlain decodes whole groups of four, any of which may be padded.
func appendPlain(dst, groups []byte) ([]byte, error) {
	if bytes.ContainsAny(groups, "\r\n") { // which the decoder would skip
		return dst, webErrorf(codes.Internal, "a line break in base64")
	}
	for len(groups) > 0 {
		end := len(groups)
		if i := bytes.IndexByte(groups, '='); i >= 0 {
			end = i&^3 + 4
		}
		var err error
		if dst, err = base64.StdEncoding.AppendDecode(dst, groups[:end]); err != nil {
			return dst, webErrorf(codes.Internal, "%v", err)
		}
		groups = groups[end:]
	}
	return dst, nil
}

// textWriter encodes a response. What is written between two flushes is a piece by itself.
type textWriter struct {
	w    io.Writer
	rest [3]byte // what is no group yet
	n    int     // bytes in rest
	buf  []byte
}

// textUnit is how many bytes are encoded at once; a multiple of 3.
const textUnit = 12 << 10

// Write encodes all whole groups.
func (t *textWriter) Write(p []byte) (int, error) {
	written := len(p)
	if t.n > 0 {
		n := copy(t.rest[t.n:], p)
		if t.n += n; t.n < 3 {
			return written, nil
		}
		p = p[n:]
		if err := t.encode(t.rest[:]); err != nil {
			return 0, err
		}
		t.n = 0
	}
	whole := len(p) - len(p)%3
	for start := 0; start < whole; start += textUnit {
		if err := t.encode(p[start:min(start+textUnit, whole)]); err != nil {
			return 0, err
		}
	}
	t.n = copy(t.rest[:], p[whole:])
	return written, nil
}

func (t *textWriter) encode(p []byte) error {
	t.buf = base64.StdEncoding.AppendEncode(t.buf[:0], p)
	_, err := t.w.Write(t.buf)
	return err
}

// pad ends a piece.
func (t *textWriter) pad() error {
	if t.n == 0 {
		return nil
	}
	err := t.encode(t.rest[:t.n])
	t.n = 0
	return err
}
