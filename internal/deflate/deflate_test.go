package deflate_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/anasamu/comm/internal/deflate"
)

var plainWish = deflate.Wish{PeerTakeover: true, Bits: 15, PeerBits: 15}

func TestAcceptAnswers(t *testing.T) {
	t.Parallel()
	takeover := plainWish
	takeover.Takeover = true
	small := deflate.Wish{Takeover: true, Bits: 10, PeerBits: 9}
	for _, tt := range []struct {
		offer  string
		wish   deflate.Wish
		answer string // "" is declined
	}{
		{"permessage-deflate", takeover, "permessage-deflate"},
		{"permessage-deflate", plainWish, "permessage-deflate; server_no_context_takeover"},
		{"permessage-deflate; server_no_context_takeover", takeover, "permessage-deflate; server_no_context_takeover"},
		{"permessage-deflate; client_no_context_takeover", takeover, "permessage-deflate; client_no_context_takeover"},
		{"permessage-deflate; client_max_window_bits", takeover, "permessage-deflate"},
		{"permessage-deflate; client_max_window_bits=10", takeover, "permessage-deflate; client_max_window_bits=10"},
		{"permessage-deflate; server_max_window_bits=9", takeover, "permessage-deflate; server_max_window_bits=9"},
		{`permessage-deflate; server_max_window_bits="8"`, takeover, "permessage-deflate; server_max_window_bits=8"},
		{"permessage-deflate; server_max_window_bits=15", takeover, "permessage-deflate; server_max_window_bits=15"},
		{"permessage-deflate; client_max_window_bits", small, "permessage-deflate; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=9"},
		{"permessage-deflate", small, "permessage-deflate; client_no_context_takeover; server_max_window_bits=10"},
		{"permessage-deflate; server_max_window_bits", takeover, ""},
		{"permessage-deflate; server_max_window_bits=7", takeover, ""},
		{"permessage-deflate; server_max_window_bits=16", takeover, ""},
		{"permessage-deflate; server_max_window_bits=08", takeover, ""},
		{"permessage-deflate; server_no_context_takeover=1", takeover, ""},
		{"permessage-deflate; server_no_context_takeover; server_no_context_takeover", takeover, ""},
		{"permessage-deflate; unknown", takeover, ""},
		{"x-webkit-deflate-frame", takeover, ""},
		{"permessage-deflate; unknown, permessage-deflate", takeover, "permessage-deflate"},
		{"permessage-bzip2, permessage-deflate; server_max_window_bits=12", takeover, "permessage-deflate; server_max_window_bits=12"},
	} {
		offers, err := deflate.ParseExtensions([]string{tt.offer})
		if err != nil {
			t.Fatalf("%s: %v", tt.offer, err)
		}
		_, answer, ok := deflate.Accept(offers, tt.wish)
		if answer != tt.answer || ok != (tt.answer != "") {
			t.Errorf("%s: answered %q, want %q", tt.offer, answer, tt.answer)
		}
	}
}

func TestMalformedExtensions(t *testing.T) {
	t.Parallel()
	for _, v := range []string{";", "a;", "a=1", "a; b=", `a; b="`, `a; b=""`, `a; b="x y"`, "a b", "a; b c"} {
		if got, err := deflate.ParseExtensions([]string{v}); !errors.Is(err, deflate.ErrSyntax) {
			t.Errorf("%q: %v, %v", v, got, err)
		}
	}
	if got, err := deflate.ParseExtensions([]string{" , a ,, b; c = d ; e"}); err != nil || len(got) != 2 || len(got[1].Params) != 2 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestCheckRefusesWhatWasNotOffered(t *testing.T) {
	t.Parallel()
	limited := deflate.Wish{Bits: 10, PeerBits: 10}
	for _, tt := range []struct {
		answer string
		wish   deflate.Wish
		fine   bool
	}{
		{"permessage-deflate", plainWish, true},
		{"permessage-deflate; server_no_context_takeover", plainWish, true},
		{"permessage-deflate; client_max_window_bits=8; server_max_window_bits=8", plainWish, true},
		{"permessage-deflate; client_max_window_bits", plainWish, false},
		{"permessage-deflate; unknown", plainWish, false},
		{"permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", plainWish, false},
		{"permessage-deflate, permessage-deflate", plainWish, false},
		{"other", plainWish, false},
		{"permessage-deflate", limited, false},
		{"permessage-deflate; server_no_context_takeover; server_max_window_bits=11", limited, false},
		{"permessage-deflate; server_no_context_takeover; server_max_window_bits=10; client_max_window_bits=11", limited, false},
		{"permessage-deflate; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits=10", limited, true},
	} {
		answer, err := deflate.ParseExtensions([]string{tt.answer})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok, err := deflate.Check(answer, tt.wish); ok != tt.fine || (err == nil) != tt.fine {
			t.Errorf("%s: %v, %v", tt.answer, ok, err)
		}
	}
	if _, ok, err := deflate.Check(nil, plainWish); ok || err != nil {
		t.Errorf("declined: %v, %v", ok, err)
	}
}

// Both sides agree on the same parameters, whatever each wants.
func TestNegotiationAgrees(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	wish := func() deflate.Wish {
		return deflate.Wish{Takeover: rng.IntN(2) == 0, PeerTakeover: rng.IntN(2) == 0, Bits: 8 + rng.IntN(8), PeerBits: 8 + rng.IntN(8)}
	}
	for range 2000 {
		client, server := wish(), wish()
		offer, err := deflate.ParseExtensions([]string{deflate.Offer(client)})
		if err != nil {
			t.Fatal(err)
		}
		ps, answer, ok := deflate.Accept(offer, server)
		if !ok {
			t.Fatalf("declined %s", deflate.Offer(client))
		}
		parsed, _ := deflate.ParseExtensions([]string{answer})
		pc, ok, err := deflate.Check(parsed, client)
		if !ok || err != nil {
			t.Fatalf("%s -> %s: %v", deflate.Offer(client), answer, err)
		}
		if pc.Server != ps.Server || pc.Client.Bits > ps.Client.Bits || pc.Client.Takeover && !ps.Client.Takeover {
			t.Fatalf("%s -> %s: client %+v, server %+v", deflate.Offer(client), answer, pc, ps)
		}
	}
}

func messages() [][]byte {
	rng := rand.New(rand.NewPCG(5, 6))
	noise := make([]byte, 10000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	return [][]byte{
		[]byte("Hello"),
		{},
		[]byte("Hello"), []byte(strings.Repeat(`{"key":"value","n":12345},`, 1500)),
		noise, noise, []byte("Hello"), bytes.Repeat([]byte{0}, 50000),
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for bits := deflate.MinBits; bits <= deflate.MaxBits; bits++ {
		for _, takeover := range []bool{false, true} {
			for _, level := range []int{1, 6, deflate.MinLevel} {
				if level != 1 && bits != 10 && bits != 15 {
					continue // the other levels are slow to start over
				}
				side := deflate.Side{Takeover: takeover, Bits: bits}
				enc, dec := deflate.NewEncoder(side, level), deflate.NewDecoder(side)
				streamed := deflate.NewDecoder(side)
				for i, m := range messages() {
					z := enc.Append(nil, m)
					got, err := dec.Append([]byte("x"), z, -1)
					if err != nil || string(got[1:]) != string(m) {
						t.Fatalf("bits %d takeover %v level %d message %d: %v", bits, takeover, level, i, err)
					}
					got, err = io.ReadAll(streamed.Reader(bytes.NewReader(z), -1, nil))
					if err != nil || string(got) != string(m) {
						t.Fatalf("streamed, bits %d message %d: %v", bits, i, err)
					}
				}
			}
		}
	}
}

// The examples of RFC 7692 7.2.3.
func TestVectors(t *testing.T) {
	t.Parallel()
	dec := deflate.NewDecoder(deflate.Side{Takeover: true, Bits: 15})
	for i, z := range []string{
		"\xf2\x48\xcd\xc9\xc9\x07\x00",                         // one block
		"\xf2\x00\x11\x00\x00",                                 // takeover: all of it from the window
		"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",         // not compressed
		"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",                     // a final block
		"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", // two blocks
	} {
		got, err := dec.Append(nil, []byte(z), 5)
		if err != nil || string(got) != "Hello" {
			t.Errorf("vector %d: %q, %v", i, got, err)
		}
	}
	enc := deflate.NewEncoder(deflate.Side{Bits: 15}, 1)
	if z := enc.Append(nil, nil); string(z) != "\x00" {
		t.Errorf("the empty message is %x", z)
	}
}

// References further back than the window would shorten this message, and do
// as soon as the window allows them.
func TestWindowIsHonoured(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 8))
	block := make([]byte, 300)
	for i := range block {
		block[i] = byte(rng.Uint32())
	}
	m := bytes.Repeat(block, 20) // every reference wants to reach 300 bytes back
	wide := deflate.Append(nil, m, 9, 1)
	narrow := deflate.Append(nil, m, 8, 1)
	if len(narrow) < len(m) || len(wide) > len(m) {
		t.Errorf("%d bytes became %d at 9 bits and %d at 8", len(m), len(wide), len(narrow))
	}
}

func TestInsertedFrameNeedsReset(t *testing.T) {
	t.Parallel()
	side := deflate.Side{Takeover: true, Bits: 15}
	shared := deflate.Append(nil, []byte(strings.Repeat("shared message ", 9)), 15, 1)
	for _, reset := range []bool{true, false} {
		enc, dec := deflate.NewEncoder(side, 6), deflate.NewDecoder(side)
		send := func(z []byte) string { got, _ := dec.Append(nil, z, -1); return string(got) }
		first := `{"id":"8f14e45fceea167a","type":"chat.message","content":"what came before the shared one"}`
		send(enc.Append(nil, []byte(first)))
		send(shared)
		if reset {
			enc.Reset()
		}
		if got := send(enc.Append(nil, []byte(first))); (got == first) != reset {
			t.Errorf("reset %v: %q", reset, got)
		}
	}
}

func TestDecodeLimits(t *testing.T) {
	t.Parallel()
	bomb := deflate.Append(nil, make([]byte, 10<<20), 15, 6)
	dec := deflate.NewDecoder(deflate.Side{Bits: 15})
	got, err := dec.Append(nil, bomb, 1000)
	if !errors.Is(err, deflate.ErrTooLong) || cap(got) > 1<<20 {
		t.Errorf("%v, %d bytes", err, cap(got))
	}
	if _, err := io.Copy(io.Discard, dec.Reader(bytes.NewReader(bomb), 1000, nil)); !errors.Is(err, deflate.ErrTooLong) {
		t.Errorf("streamed: %v", err)
	}
	if _, err := dec.Append(nil, bomb[:len(bomb)/2], -1); !errors.Is(err, deflate.ErrCorrupt) {
		t.Errorf("cut: %v", err)
	}
	if _, err := dec.Append(nil, []byte{0xFF, 0xFF}, -1); !errors.Is(err, deflate.ErrCorrupt) {
		t.Errorf("garbage: %v", err)
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	b := deflate.NewBudget(10)
	if !b.Take(6) || b.Take(6) || !b.Take(4) || b.Free() != 0 {
		t.Error("the budget does not count")
	}
	b.Give(10)
	if b.Free() != 10 {
		t.Errorf("free %d", b.Free())
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("\xf2\x48\xcd\xc9\xc9\x07\x00"), []byte("\xf2\x00\x11\x00\x00"))
	f.Add(deflate.Append(nil, make([]byte, 5000), 15, 1), []byte{})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		const limit = 1 << 16
		side := deflate.Side{Takeover: true, Bits: 10}
		whole, streamed := deflate.NewDecoder(side), deflate.NewDecoder(side)
		for _, z := range [][]byte{a, b} {
			got, err := whole.Append(nil, z, limit)
			if err == nil && len(got) > limit {
				t.Fatalf("%d bytes", len(got))
			}
			other, err2 := io.ReadAll(streamed.Reader(bytes.NewReader(z), limit, nil))
			if (err == nil) != (err2 == nil) || err == nil && !bytes.Equal(got, other) {
				t.Fatalf("whole %d bytes, %v; streamed %d bytes, %v", len(got), err, len(other), err2)
			}
			if err != nil {
				return
			}
		}
	})
}

func FuzzEncode(f *testing.F) {
	f.Add([]byte("hello hello"), uint8(0), false)
	f.Fuzz(func(t *testing.T, p []byte, bits uint8, takeover bool) {
		side := deflate.Side{Takeover: takeover, Bits: deflate.MinBits + int(bits%8)}
		enc, dec := deflate.NewEncoder(side, 1), deflate.NewDecoder(side)
		for range 2 {
			got, err := dec.Append(nil, enc.Append(nil, p), int64(len(p)))
			if err != nil || !bytes.Equal(got, p) {
				t.Fatalf("%v", err)
			}
		}
	})
}

func FuzzExtensions(f *testing.F) {
	f.Add("permessage-deflate; client_max_window_bits=10, x; y=\"z\"")
	f.Fuzz(func(t *testing.T, s string) {
		list, err := deflate.ParseExtensions([]string{s})
		if err != nil {
			return
		}
		if p, _, ok := deflate.Accept(list, plainWish); ok && (p.Server.Bits < 8 || p.Server.Bits > 15 || p.Client.Bits < 8 || p.Client.Bits > 15) {
			t.Fatalf("%q: %+v", s, p)
		}
	})
}
