package main

import (
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"net"
	"sync"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
)

// gobwasSubject is gobwas/ws with a goroutine a connection.
type gobwasSubject struct{}

func init() { register(gobwasSubject{}) }

func (gobwasSubject) Name() string   { return "gobwas" }
func (gobwasSubject) Module() string { return "github.com/gobwas/ws" }
func (gobwasSubject) Config() string {
	return "zero-copy ws.Upgrader and a goroutine a connection; the low-level API with a bufio.Reader, a payload buffer that is used again, and header and payload in one write; utf8.Valid for text; pooled wsflate.Reader and Writer for deflate"
}

func (gobwasSubject) Echo(s *spec) (entry, error) {
	ln, err := s.listen()
	if err != nil {
		return entry{}, err
	}
	go acceptAll(ln, func(c net.Conn) {
		defer c.Close()
		if gobwasUpgrade(c, s.Deflate) != nil {
			return
		}
		e := gobwasEcho{text: s.Text}
		r := bufio.NewReader(c)
		for e.echo(r, c) == nil {
		}
	})
	return entry{Addr: ln.Addr().String(), WS: "/"}, nil
}

// acceptAll runs f with every connection on a goroutine of its own.
func acceptAll(ln net.Listener, f func(net.Conn)) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go f(c)
	}
}

func gobwasUpgrade(c io.ReadWriter, deflate bool) error {
	u := ws.Upgrader{}
	if deflate {
		e := wsflate.Extension{Parameters: wsflate.Parameters{ServerNoContextTakeover: true, ClientNoContextTakeover: true}}
		u.Negotiate = e.Negotiate
	}
	_, err := u.Upgrade(c)
	return err
}

var errNotText = errors.New("text is not UTF-8")

// gobwasEcho echoes one message after the other with buffers that it keeps.
type gobwasEcho struct {
	text bool
	in   []byte
	out  bytes.Buffer
	flat bytes.Buffer
}

func (e *gobwasEcho) echo(r io.Reader, w io.Writer) error {
	h, err := ws.ReadHeader(r)
	if err != nil {
		return err
	}
	if int64(cap(e.in)) < h.Length {
		e.in = make([]byte, h.Length)
	}
	p := e.in[:h.Length]
	if _, err := io.ReadFull(r, p); err != nil {
		return err
	}
	ws.Cipher(p, h.Mask, 0)
	if h.OpCode.IsControl() {
		return io.EOF // only a close, here
	}
	if e.text && !utf8.Valid(p) {
		return errNotText
	}
	return e.answer(w, h, p)
}

// flater is what one message is inflated and deflated with; as its
// documentation advises, it is used again.
type flater struct {
	r   *wsflate.Reader
	w   *wsflate.Writer
	buf bytes.Buffer
}

var flaters = sync.Pool{New: func() any {
	return &flater{
		r: wsflate.NewReader(nil, func(r io.Reader) wsflate.Decompressor { return flate.NewReader(r) }),
		w: wsflate.NewWriter(nil, func(w io.Writer) wsflate.Compressor {
			f, _ := flate.NewWriter(w, 1) // 1 is a level, the one that all subjects use
			return f
		}),
	}
}}

// again inflates p and deflates it, into dst.
func (f *flater) again(dst *bytes.Buffer, p []byte) error {
	f.r.Reset(bytes.NewReader(p))
	f.buf.Reset()
	if _, err := f.buf.ReadFrom(f.r); err != nil {
		return err
	}
	f.w.Reset(dst)
	if _, err := f.w.Write(f.buf.Bytes()); err != nil {
		return err
	}
	return f.w.Flush()
}

func (e *gobwasEcho) answer(w io.Writer, h ws.Header, p []byte) error {
	if h.Rsv1() {
		f := flaters.Get().(*flater)
		defer flaters.Put(f)
		e.flat.Reset()
		if err := f.again(&e.flat, p); err != nil {
			return err
		}
		p = e.flat.Bytes()
	}
	h.Masked, h.Length = false, int64(len(p))
	e.out.Reset()
	if err := ws.WriteHeader(&e.out, h); err != nil {
		return err
	}
	e.out.Write(p)
	_, err := w.Write(e.out.Bytes())
	return err
}
