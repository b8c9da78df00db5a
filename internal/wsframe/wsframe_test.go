package wsframe_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/anasamu/comm/internal/wsframe"
)

func TestHeaderRoundTrip(t *testing.T) {
	t.Parallel()
	for _, length := range []int64{0, 1, 125, 126, 127, 65535, 65536, 1<<63 - 1} {
		for _, masked := range []bool{false, true} {
			want := wsframe.Header{Fin: true, Op: wsframe.Binary, Masked: masked, Length: length}
			if masked {
				want.Key = 0xDEADBEEF
			}
			b := want.Append(nil)
			if len(b) != want.Size() {
				t.Errorf("length %d: Size %d, wire %d", length, want.Size(), len(b))
			}
			for i := range b {
				if _, n, err := wsframe.Parse(b[:i], wsframe.Rules{Masked: masked}); n != 0 || err != nil {
					t.Fatalf("length %d, first %d bytes: n %d, %v", length, i, n, err)
				}
			}
			got, n, err := wsframe.Parse(append(b, "payload"...), wsframe.Rules{Masked: masked})
			if got != want || n != len(b) || err != nil {
				t.Errorf("got %+v %d %v, want %+v", got, n, err, want)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		b     []byte
		rules wsframe.Rules
		want  error
	}{
		{"RSV1 without an extension", []byte{0xC1}, wsframe.Rules{}, wsframe.ErrReserved},
		{"RSV1 on a continuation", []byte{0xC0}, wsframe.Rules{Deflate: true}, wsframe.ErrReserved},
		{"RSV1 on a ping", []byte{0xC9}, wsframe.Rules{Deflate: true}, wsframe.ErrReserved},
		{"RSV2", []byte{0xA1}, wsframe.Rules{Deflate: true}, wsframe.ErrReserved},
		{"RSV3", []byte{0x91}, wsframe.Rules{Deflate: true}, wsframe.ErrReserved},
		{"opcode 3", []byte{0x83}, wsframe.Rules{}, wsframe.ErrOpcode},
		{"opcode 15", []byte{0x8F}, wsframe.Rules{}, wsframe.ErrOpcode},
		{"unmasked", []byte{0x81, 1}, wsframe.Rules{Masked: true}, wsframe.ErrUnmasked},
		{"masked", []byte{0x81, 0x81}, wsframe.Rules{}, wsframe.ErrMasked},
		{"open ping", []byte{0x09, 0}, wsframe.Rules{}, wsframe.ErrControl},
		{"long ping", []byte{0x89, 126}, wsframe.Rules{}, wsframe.ErrControl},
		{"125 in 16 bits", []byte{0x82, 126, 0, 125}, wsframe.Rules{}, wsframe.ErrLength},
		{"65535 in 64 bits", []byte{0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}, wsframe.Rules{}, wsframe.ErrLength},
		{"2^63", []byte{0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0}, wsframe.Rules{}, wsframe.ErrLength},
	} {
		if _, n, err := wsframe.Parse(tt.b, tt.rules); !errors.Is(err, tt.want) || n != 0 {
			t.Errorf("%s: %d, %v, want %v", tt.name, n, err, tt.want)
		}
	}
}

func TestMaskInPieces(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		plain := make([]byte, n)
		for i := range plain {
			plain[i] = byte(rng.Uint32())
		}
		key := rng.Uint32()
		want := bytes.Clone(plain)
		for i := range want {
			want[i] ^= byte(key >> (8 * (i % 4)))
		}
		got := bytes.Clone(plain)
		k := key
		for rest := got; len(rest) > 0; {
			m := 1 + rng.IntN(len(rest))
			k = wsframe.Mask(rest[:m], k)
			rest = rest[m:]
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes differ", n)
		}
	}
}

func TestUTF8Vectors(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "a", "é", "€", "😀", "\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5", "a\xc3", "\xe2\x82", strings.Repeat("κόσμε", 50)} {
		for cut := range len(s) + 1 {
			var u wsframe.UTF8
			got := u.Write([]byte(s[:cut])) && u.Write([]byte(s[cut:])) && u.Done()
			if got != utf8.ValidString(s) {
				t.Errorf("%q cut at %d: %v", s, cut, got)
			}
		}
	}
}

func TestUTF8FailsAtTheFirstBadByte(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"\xf4\x90", "\xed\xa0", "\xe0\x9f", "\xf0\x8f", "abc\xff", "\xc2a"} {
		var u wsframe.UTF8
		if !u.Write([]byte(s[:len(s)-1])) {
			t.Errorf("%q failed too early", s)
		}
		if u.Write([]byte(s[len(s)-1:])) {
			t.Errorf("%q did not fail at its last byte", s)
		}
	}
}

func TestClosePayload(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		p    string
		code uint16
		err  error
	}{
		{"", wsframe.NoStatus, nil},
		{"\x03", 0, wsframe.ErrClosePayload},
		{"\x03\xe8bye", 1000, nil},
		{"\x03\xed", 0, wsframe.ErrCloseCode},
		{"\x03\xe8\xff", 0, wsframe.ErrCloseReason},
		{"\x13\x88", 0, wsframe.ErrCloseCode},
	} {
		code, reason, err := wsframe.ParseClose([]byte(tt.p))
		if code != tt.code || !errors.Is(err, tt.err) {
			t.Errorf("%q: %d %v", tt.p, code, err)
		}
		if err == nil && string(wsframe.AppendClose(nil, code, string(reason))) != tt.p {
			t.Errorf("%q does not round-trip", tt.p)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{0x81, 0x05, 'h', 'e', 'l', 'l', 'o'}, false, false)
	f.Add([]byte{0x81, 0x85, 1, 2, 3, 4, 'h'}, true, false)
	f.Add([]byte{0xC2, 126, 1, 0}, false, true)
	f.Add([]byte{0x02, 127, 0, 0, 0, 0, 0, 1, 0, 0}, false, false)
	f.Fuzz(func(t *testing.T, b []byte, masked, deflate bool) {
		rules := wsframe.Rules{Masked: masked, Deflate: deflate}
		h, n, err := wsframe.Parse(b, rules)
		if err != nil || n == 0 {
			return
		}
		if n > len(b) || n > wsframe.MaxHeader || h.Length < 0 {
			t.Fatalf("%+v of %d bytes from %d", h, n, len(b))
		}
		if got := h.Append(nil); !bytes.Equal(got, b[:n]) {
			t.Fatalf("%x parsed and appended is %x", b[:n], got)
		}
		for i := range n {
			if _, m, err := wsframe.Parse(b[:i], rules); m != 0 || err != nil {
				t.Fatalf("a prefix of a good header: %d, %v", m, err)
			}
		}
	})
}

func FuzzUTF8(f *testing.F) {
	f.Add([]byte("κόσμε"), uint8(3))
	f.Add([]byte("\xf4\x90\x80\x80"), uint8(1))
	f.Fuzz(func(t *testing.T, p []byte, piece uint8) {
		var u wsframe.UTF8
		ok := true
		for rest := p; len(rest) > 0 && ok; {
			n := min(len(rest), int(piece)+1)
			ok = u.Write(rest[:n])
			rest = rest[n:]
		}
		if got := ok && u.Done(); got != utf8.Valid(p) {
			t.Fatalf("%q in pieces of %d: %v", p, piece+1, got)
		}
	})
}

func FuzzParseClose(f *testing.F) {
	f.Add([]byte("\x03\xe8bye"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		code, reason, err := wsframe.ParseClose(p)
		if err == nil && !bytes.Equal(wsframe.AppendClose(nil, code, string(reason)), p) {
			t.Fatalf("%q does not round-trip", p)
		}
	})
}
