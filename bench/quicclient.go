package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/anasamu/comm"
	commquic "github.com/anasamu/comm/quic"
)

const (
	typeMessage = 1    // of comm/1
	typeLane    = 0x20 // of comm/1: it opens a lane
	quicReader  = 32 << 10
)

// quicMember is a connection of the client.
type quicMember struct {
	comm  bool // it speaks comm/1
	conn  *quic.Conn
	out   *quic.Stream
	in    quicFrames // of out
	taken int        // messages
}

// quicFrames reads the frames of one stream.
type quicFrames struct {
	comm bool
	r    *bufio.Reader
	buf  []byte
}

// next returns what the next frame holds: the end of it is the message. It is valid until the next call.
func (f *quicFrames) next() (typ uint64, b []byte, err error) {
	var size uint64
	if f.comm {
		if typ, err = quicvarint.Read(f.r); err == nil {
			size, err = quicvarint.Read(f.r)
		}
	} else {
		var head [4]byte
		_, err = io.ReadFull(f.r, head[:])
		typ, size = typeMessage, uint64(binary.BigEndian.Uint32(head[:]))
	}
	if err != nil {
		return 0, nil, err
	}
	if size > 2*besideSize {
		return 0, nil, fmt.Errorf("a frame of %d bytes", size)
	}
	if size > uint64(len(f.buf)) {
		f.buf = make([]byte, size)
	}
	_, err = io.ReadFull(f.r, f.buf[:size])
	return typ, f.buf[:size], err
}

// message returns the next message and skips what else comes.
func (f *quicFrames) message() ([]byte, error) {
	for {
		typ, b, err := f.next()
		if err != nil || typ == typeMessage {
			return b, err
		}
	}
}

func newQUICFrames(comm bool, r io.Reader, size int) quicFrames {
	return quicFrames{comm: comm, r: bufio.NewReaderSize(r, quicReader), buf: make([]byte, size+1024)}
}

// dialQUIC opens a connection with its first stream, on which the server has answered.
func dialQUIC(s *spec, conf *quic.Config) (*quicMember, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := quic.DialAddr(ctx, s.Entry.Addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{s.Entry.Proto}}, conf)
	if err != nil {
		return nil, err
	}
	m := &quicMember{comm: s.Entry.Proto == alpnComm, conn: c}
	if m.out, err = c.OpenStream(); err != nil {
		return nil, err
	}
	m.in = newQUICFrames(m.comm, m.out, min(s.Size, 2<<20))
	return m, m.greet(s)
}

// greet says hello, and takes the answers to it.
func (m *quicMember) greet(s *spec) error {
	if !m.comm {
		_, err := m.out.Write([]byte{0})
		return err
	}
	hello := &comm.Hello{Version: 1}
	if s.Variant == variantGroup {
		hello.Groups = []string{groupName(0)}
	}
	b, err := commquic.Codec().AppendFrame(nil, &comm.Frame{Op: comm.OpHello, Hello: hello})
	if err == nil {
		_, err = m.out.Write(b)
	}
	for range 1 + len(hello.Groups) {
		if err == nil {
			_, _, err = m.in.next()
		}
	}
	return err
}

// frame is a message as the client sends it.
func (m *quicMember) frame(payload []byte) ([]byte, error) {
	if !m.comm {
		return quicFrame(payload), nil
	}
	msg, err := comm.NewMessage("echo", payload)
	if err != nil {
		return nil, err
	}
	return commquic.Codec().AppendFrame(nil, &comm.Frame{Message: msg})
}

// quicFrame is a frame of a bare stream.
func quicFrame(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
}

// take reads n messages, which must be those that come next.
func (m *quicMember) take(n int, payloads [][]byte) error {
	for range n {
		b, err := m.in.message()
		if err == nil {
			err = m.check(b, payloads[m.taken%len(payloads)])
		}
		if err != nil {
			return fmt.Errorf("message %d: %w", m.taken, err)
		}
		m.taken++
	}
	return nil
}

// check holds a message against the one that must come. Members of comm/1 stand before its content.
func (m *quicMember) check(b, want []byte) error {
	if m.comm && bytes.HasSuffix(b, want) || bytes.Equal(b, want) {
		return nil
	}
	return fmt.Errorf("another message came: %.100q", b[max(0, len(b)-len(want)):])
}

// quiet verifies that no message comes any more.
func (m *quicMember) quiet() error {
	_ = m.out.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	b, err := m.in.message()
	if err == nil {
		return fmt.Errorf("a message more than were sent: %.100q", b)
	}
	if t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && t.Timeout() {
		return nil
	}
	return err
}
