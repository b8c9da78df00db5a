package commquic_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"unicode/utf8"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	commquic "github.com/anasamu/comm/quic"
)

// FuzzCapsules reads anything as capsules: it never holds more than a close reason, and what it has read
// of a close capsule is what it would write.
func FuzzCapsules(f *testing.F) {
	f.Add(commquic.AppendClose(nil, commquic.NewClose(7, "bye")))
	f.Add([]byte{0x78, 0xae, 0})
	f.Add(append([]byte{0x21, 3, 1, 2, 3}, commquic.AppendClose(nil, commquic.NewClose(1<<32-1, ""))...))
	f.Add([]byte{0x68, 0x43, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		closes := 0
		err := commquic.ReadCapsules(bytes.NewReader(b), func() {}, func(c commquic.WTClose) {
			closes++
			code, msg := commquic.CloseParts(c)
			if !utf8.ValidString(msg) || len(msg) > 3*1024 {
				t.Errorf("%d: %q", code, msg)
			}
			again := 0
			_ = commquic.ReadCapsules(bytes.NewReader(commquic.AppendClose(nil, c)), nil, func(d commquic.WTClose) {
				again++
				if dc, dm := commquic.CloseParts(d); dc != code || len(msg) <= 1024 && dm != msg {
					t.Errorf("%d %q became %d %q", code, msg, dc, dm)
				}
			})
			if again != 1 {
				t.Error("a capsule that was written is not read")
			}
		})
		if closes > 1 || closes == 1 && err != nil {
			t.Error(closes, err)
		}
	})
}

// peekable is a stream in memory.
type peekable struct{ *bytes.Reader }

func (p peekable) Peek(b []byte) (int, error) {
	n, err := p.ReadAt(b, p.Size()-int64(p.Len()))
	return n, err
}

// FuzzStreamHeader reads anything as the beginning of a stream.
func FuzzStreamHeader(f *testing.F) {
	f.Add(commquic.AppendHeader(nil, 0x41, 0))
	f.Add(commquic.AppendHeader(nil, 0x54, 1<<40))
	f.Add([]byte{0x40})
	f.Add([]byte{0xc0, 0, 0, 0, 0, 0, 0, 0x54, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := peekable{bytes.NewReader(b)}
		kind, err := commquic.PeekVarint(p)
		if want, _, perr := quicvarint.Parse(b); (err == nil) != (perr == nil) || kind != want {
			t.Fatalf("%d %v, want %d %v", kind, err, want, perr)
		}
		if p.Len() != len(b) {
			t.Fatal("peeking consumed")
		}
		id, size, err := commquic.ReadStreamHeader(p)
		if err != nil {
			return
		}
		if id%4 != 0 {
			t.Error(id)
		}
		rest, _ := io.ReadAll(p)
		kind2, n, _ := quicvarint.Parse(b)
		id2, m, _ := quicvarint.Parse(b[n:])
		if size != int64(n+m) || kind2 != kind || id2 != uint64(id) || !bytes.Equal(rest, b[n+m:]) {
			t.Error("the header is not what was read")
		}
	})
}

// FuzzErrorCodes maps codes there and back.
func FuzzErrorCodes(f *testing.F) {
	for _, c := range []uint32{0, 0x1d, 0x1e, 0x1f, 1<<32 - 1} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, code uint32) {
		wire := commquic.WireCode(code)
		if got, ok := commquic.ApplicationCode(wire); !ok || got != code {
			t.Errorf("%d became %d", code, got)
		}
		if (wire-0x21)%0x1f == 0 {
			t.Errorf("%#x is reserved", uint64(wire))
		}
	})
}

// FuzzDatagrams sends anything as a datagram of HTTP/3: it costs the connection at most.
func FuzzDatagrams(f *testing.F) {
	f.Add([]byte{0})
	f.Add([]byte{0, 'x'})
	f.Add([]byte{0x40})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1000 {
			t.Skip()
		}
		accepted := make(sessions, 1)
		s := serveH3(t, &commquic.Server{Handler: accepted})
		c, h := s.raw(t)
		if _, resp := connect(t, h, s.url("/"), nil); resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
		session := <-accepted
		if err := c.SendDatagram(b); err != nil {
			t.Fatal(err)
		}
		quarter, n, err := quicvarint.Parse(b)
		switch {
		case err != nil || quarter > 1<<60-1:
			<-c.Context().Done()
			ae, ok := errors.AsType[*quic.ApplicationError](context.Cause(c.Context()))
			if ok && ae.ErrorCode != 0x33 {
				t.Error(ae)
			}
		case quarter == 0:
			if got, err := session.ReceiveDatagram(within(t)); err != nil || !bytes.Equal(got, b[n:]) {
				t.Error(got, err)
			}
		}
	})
}
