package commgrpc_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/iotest"

	commgrpc "github.com/anasamu/comm/grpc"
)

// FuzzWebFrame reads requests in both forms. What is taken is one whole frame within the bound, and the same
// whether it comes at once or byte by byte.
func FuzzWebFrame(f *testing.F) {
	const most = 1 << 10
	whole := rawFrame(0, []byte("a message"))
	f.Add(whole, false)
	f.Add(rawFrame(1, nil), false)
	f.Add([]byte(base64.StdEncoding.EncodeToString(whole)), true)
	f.Add(commgrpc.TextPieces(whole[:3], whole[3:8], whole[8:]), true)
	f.Add(slices.Concat(whole, whole), false)
	f.Add([]byte("\x80\x00\x00\x00\x02a:"), false)
	f.Add([]byte("\x00\xff\xff\xff\xff"), false)
	f.Add([]byte("AA==\nAA=="), true)
	f.Add([]byte("A==="), true)
	f.Fuzz(func(t *testing.T, body []byte, text bool) {
		read := func(r io.Reader) ([]byte, error) {
			if text {
				r = commgrpc.NewTextReader(r)
			}
			return commgrpc.ReadFrame(r, most)
		}
		got, err := read(bytes.NewReader(body))
		slow, slowErr := read(iotest.OneByteReader(bytes.NewReader(body)))
		if !bytes.Equal(got, slow) || (err == nil) != (slowErr == nil) {
			t.Fatalf("at once %q, %v; byte by byte %q, %v", got, err, slow, slowErr)
		}
		if err != nil {
			if got != nil {
				t.Fatalf("%q beside %v", got, err)
			}
			return
		}
		if len(got) > 5+most || got[0] > 1 || !bytes.Equal(got, rawFrame(got[0], got[5:])) {
			t.Fatalf("%q is taken for a frame", got)
		}
		if !text && !bytes.Equal(got, body) {
			t.Fatalf("%q became %q", body, got)
		}
		if text && !bytes.Equal(got, plainOf(t, body)) {
			t.Fatalf("%q became %q, not %q", body, got, plainOf(t, body))
		}
	})
}

// FuzzWebText encodes what is flushed in pieces and decodes it.
func FuzzWebText(f *testing.F) {
	f.Add([]byte("one"), []byte("and two"), []byte(""))
	f.Add([]byte{0}, []byte{0xff, 0}, bytes.Repeat([]byte{1}, 13_000))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		want := slices.Concat(a, b, c)
		text := commgrpc.TextPieces(a, b, c)
		got, err := io.ReadAll(iotest.HalfReader(commgrpc.NewTextReader(bytes.NewReader(text))))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q: %q, %v", text, got, err)
		}
		var pieces []byte
		for _, p := range [][]byte{a, b, c} { // each decodes by itself
			n := base64.StdEncoding.EncodedLen(len(p))
			plain, err := base64.StdEncoding.DecodeString(string(text[:n]))
			if err != nil {
				t.Fatal(err)
			}
			pieces, text = append(pieces, plain...), text[n:]
		}
		if !bytes.Equal(pieces, want) {
			t.Fatalf("in pieces %q", pieces)
		}
	})
}

// FuzzWebTrailers: no name and no value of a trailer can make another one.
func FuzzWebTrailers(f *testing.F) {
	f.Add("x-a", "value")
	f.Add("x-b", "value\r\ngrpc-status: 0")
	f.Fuzz(func(t *testing.T, name, value string) {
		h := http.Header{"Grpc-Status": {"7"}}
		h.Add(http.TrailerPrefix+name, value)
		trailers := framesOf(t, commgrpc.AppendTrailers(nil, commgrpc.TakeTrailers(h))).trailers
		if len(trailers) > 2 || trailers["grpc-status"] != "7" && http.CanonicalHeaderKey(name) != "Grpc-Status" {
			t.Fatalf("%q", trailers)
		}
	})
}

// FuzzPacedBody reads bodies whose pieces end anywhere: all bytes come, in order, whatever they are.
func FuzzPacedBody(f *testing.F) {
	f.Add(slices.Concat(rawFrame(0, []byte("one")), rawFrame(0, nil), rawFrame(1, []byte("three"))), 4)
	f.Add([]byte("\x00\xff\xff\xff\xff"), 1)
	f.Fuzz(func(t *testing.T, body []byte, buffer int) {
		b := commgrpc.NewPaced(io.NopCloser(iotest.OneByteReader(bytes.NewReader(body))), len(body), true)
		var got []byte
		for p := make([]byte, 1+uint(buffer)%100); ; {
			n, err := b.Read(p)
			got = append(got, p[:n]...)
			for range p {
				b.Taken()
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if b.Over() {
				if !bytes.HasPrefix(body, got) {
					t.Fatalf("%q became %q", body, got)
				}
				return
			}
		}
		if !bytes.Equal(got, body) {
			t.Fatalf("%q became %q", body, got)
		}
	})
}
