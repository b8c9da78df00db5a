package commhttp

import (
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
)

// encoder stands between one response's handler and its bytes until it is known
// whether to compress, and while compressing.
type encoder struct {
	cc     *compressor
	coding coding
	state  encoderState
	status int     // of the header held back; 0 if there is none
	buf    *[]byte // of the body held back; from the pool
	gz     *gzip.Writer
}

type encoderState int

const (
	encoderUndecided encoderState = iota
	encoderPlain
	encoderGzip
)

// hold takes the header from the handler and reports whether it is held back. What
// the header tells already is decided here; the rest waits for the body.
func (e *encoder) hold(x *exchange, status int) bool {
	if e.state != encoderUndecided {
		return false
	}
	if e.status != 0 {
		return true
	}
	h := x.Header()
	contentType, known := h["Content-Type"]
	switch {
	case !transformable(status, h), known && !(len(contentType) > 0 && e.cc.eligible(contentType[0])):
		e.state = encoderPlain
		return false
	case known && (e.coding == codingIdentity || e.announcedShort(h)):
		addVary(h, "Accept-Encoding")
		e.state = encoderPlain
		return false
	}
	e.status = status
	return true
}

// transformable reports whether a response may be given a content coding.
func transformable(status int, h http.Header) bool {
	switch status {
	case http.StatusNoContent, http.StatusNotModified, http.StatusPartialContent, http.StatusSwitchingProtocols:
		return false
	}
	return h.Get("Content-Encoding") == "" && h.Get("Content-Range") == "" &&
		!strings.Contains(strings.ToLower(h.Get("Cache-Control")), "no-transform")
}

func (e *encoder) announcedShort(h http.Header) bool {
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	return err == nil && n < int64(e.cc.minSize) && e.coding != codingGzip
}

func (e *encoder) write(x *exchange, p []byte) (int, error) {
	if e.state == encoderUndecided {
		x.WriteHeader(http.StatusOK)
	}
	if e.state == encoderUndecided {
		if e.keep(x, p) {
			return len(p), nil
		}
		if err := e.decide(x, p); err != nil {
			return 0, err
		}
	}
	if e.state == encoderGzip {
		return e.gz.Write(p)
	}
	return x.send(p)
}

// keep holds p back while the body may still turn out too small to compress.
func (e *encoder) keep(x *exchange, p []byte) bool {
	if e.coding != codingEither || x.Header().Get("Content-Length") != "" {
		return false
	}
	held := 0
	if e.buf != nil {
		held = len(*e.buf)
	}
	if held+len(p) >= e.cc.minSize {
		return false
	}
	if e.buf == nil {
		if e.buf, _ = e.cc.bufs.Get().(*[]byte); e.buf == nil {
			e.buf = new([]byte)
		}
	}
	*e.buf = append(*e.buf, p...)
	return true
}

// decide sends the header, compressed if the type allows, and what was held back. p is
// what comes next; it may be needed to know the type.
func (e *encoder) decide(x *exchange, p []byte) error {
	h := x.Header()
	sample := p
	if e.buf != nil && len(*e.buf) > 0 {
		sample = append(*e.buf, p[:min(len(p), 512)]...)
	}
	if _, known := h["Content-Type"]; !known && len(sample) > 0 {
		h.Set("Content-Type", http.DetectContentType(sample))
	}
	e.state = encoderPlain
	if e.cc.eligible(h.Get("Content-Type")) {
		addVary(h, "Accept-Encoding")
		if e.coding != codingIdentity {
			e.start(x)
		}
	}
	x.commit(e.status)
	return e.sendHeld(x)
}

// start turns to gzip, if there is a writer to be had.
func (e *encoder) start(x *exchange) {
	if e.gz = e.cc.acquire(); e.gz == nil {
		return
	}
	e.state = encoderGzip
	e.gz.Reset(sender{x})
	h := x.Header()
	h.Set("Content-Encoding", "gzip")
	h.Del("Content-Length")
	h.Del("Accept-Ranges")
	// The bytes differ from those of the plain answer that has this tag, the meaning
	// does not: that is what a weak one says (RFC 9110 8.8.1).
	if tag := h.Get("Etag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		h.Set("Etag", "W/"+tag)
	}
}

// sender is the exchange past its encoder.
type sender struct{ x *exchange }

func (s sender) Write(p []byte) (int, error) { return s.x.send(p) }

func (e *encoder) sendHeld(x *exchange) error {
	if e.buf == nil {
		return nil
	}
	defer e.dropHeld()
	if len(*e.buf) == 0 {
		return nil
	}
	var err error
	if e.state == encoderGzip {
		_, err = e.gz.Write(*e.buf)
	} else {
		_, err = x.send(*e.buf)
	}
	return err
}

func (e *encoder) dropHeld() {
	if e.buf != nil {
		*e.buf = (*e.buf)[:0]
		e.cc.bufs.Put(e.buf)
		e.buf = nil
	}
}

// passes reports whether the body goes past the encoder untouched.
func (e *encoder) passes(x *exchange) bool {
	if e.state == encoderUndecided {
		x.WriteHeader(http.StatusOK)
	}
	return e.state == encoderPlain
}

// flush makes everything written so far ready to be flushed.
func (e *encoder) flush(x *exchange) error {
	if e.state == encoderUndecided {
		x.WriteHeader(http.StatusOK)
	}
	if e.state == encoderUndecided {
		if err := e.decide(x, nil); err != nil {
			return err
		}
	}
	if e.state == encoderGzip {
		return e.gz.Flush()
	}
	return nil
}

// finish ends the body. If the handler did not return, what was held back is dropped,
// so that another answer can still be given, and a compressed body stays visibly
// incomplete.
func (e *encoder) finish(x *exchange, returned bool) {
	x.enc = nil
	if e.state == encoderUndecided && e.status != 0 && returned && x.conn == nil {
		e.state = encoderPlain
		if h := x.Header(); e.cc.eligible(h.Get("Content-Type")) {
			addVary(h, "Accept-Encoding")
		}
		x.commit(e.status)
		_ = e.sendHeld(x) // a client that has left; net/http notices by itself
	}
	e.dropHeld()
	if e.gz != nil {
		if returned {
			_ = e.gz.Close() // the same
		}
		e.cc.release(e.gz)
		e.gz = nil
	}
}
