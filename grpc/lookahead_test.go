package commgrpc_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	commgrpc "github.com/anasamu/comm/grpc"
)

// wire writes the frames of a client.
type wire struct {
	bytes.Buffer
	*http2.Framer
}

// newWire begins with the preface and SETTINGS.
func newWire() *wire {
	w := bare()
	w.WriteString(commgrpc.Preface)
	w.WriteSettings()
	return w
}

func bare() *wire {
	w := new(wire)
	w.Framer = http2.NewFramer(&w.Buffer, nil)
	w.AllowIllegalWrites = true
	return w
}

// block encodes header fields: name, value, name, value ...
func block(fields ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

// callFields are those of a call by a gRPC library, and more.
func callFields(more ...string) []string {
	return append([]string{
		":method", "POST", ":scheme", "http", ":path", "/grpc.health.v1.Health/Check", ":authority", "gateway",
		"content-type", "application/grpc", "user-agent", "grpc-go/1.85.0", "te", "trailers",
	}, more...)
}

func call(more ...string) []byte { return block(callFields(more...)...) }

func headers(stream uint32, fragment []byte, end bool) http2.HeadersFrameParam {
	return http2.HeadersFrameParam{StreamID: stream, BlockFragment: fragment, EndHeaders: end}
}

// raw is a frame of any kind.
func raw(length int, kind http2.FrameType, flags http2.Flags, stream uint32, payload []byte) string {
	h := []byte{byte(length >> 16), byte(length >> 8), byte(length), byte(kind), byte(flags)}
	return string(append(binary.BigEndian.AppendUint32(h, stream), payload...))
}

// looks are beginnings of connections, and who is to serve them.
var looks = map[string]struct {
	write func(w *wire)
	call  bool
}{
	"call":                 {func(w *wire) { w.WriteHeaders(headers(1, call(), true)) }, true},
	"application in front": {func(w *wire) { w.WriteHeaders(headers(1, call("user-agent", "shop/2 grpc-java-netty/1.70.0"), true)) }, true},
	"codec":                {func(w *wire) { w.WriteHeaders(headers(1, call("content-type", "application/grpc+proto"), true)) }, true},
	"after what is usual":  {func(w *wire) { chatter(w); w.WriteHeaders(headers(1, call(), true)) }, true},
	"behind idle streams":  {func(w *wire) { w.WriteHeaders(headers(7, call(), true)) }, true},
	"page":                 {func(w *wire) { w.WriteHeaders(headers(1, block(":method", "GET", ":path", "/"), true)) }, false},
	"gRPC-Web":             {func(w *wire) { w.WriteHeaders(headers(1, call("content-type", "application/grpc-web+proto"), true)) }, false},
	"another client":       {func(w *wire) { w.WriteHeaders(headers(1, call("user-agent", "grpc-go-connect/1.18"), true)) }, false},
	"proxy":                {func(w *wire) { w.WriteHeaders(headers(1, call("x-forwarded-for", "192.0.2.1"), true)) }, false},
	"even stream":          {func(w *wire) { w.WriteHeaders(headers(2, call(), true)) }, false},
	"stream 0":             {func(w *wire) { w.WriteHeaders(headers(0, call(), true)) }, false},
	"no SETTINGS":          {func(w *wire) { w.Reset(); w.WriteString(commgrpc.Preface); w.WriteHeaders(headers(1, call(), true)) }, false},
	"ACK instead": {func(w *wire) {
		w.Reset()
		w.WriteString(commgrpc.Preface)
		w.WriteSettingsAck()
		w.WriteHeaders(headers(1, call(), true))
	}, false},
	"DATA first":          {func(w *wire) { w.WriteData(1, false, []byte("x")); w.WriteHeaders(headers(1, call(), true)) }, false},
	"CONTINUATION first":  {func(w *wire) { w.WriteContinuation(1, true, call()) }, false},
	"bad HPACK":           {func(w *wire) { w.WriteHeaders(headers(1, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, true)) }, false},
	"HPACK cut":           {func(w *wire) { b := call(); w.WriteHeaders(headers(1, b[:len(b)-1], true)) }, false},
	"large frame":         {func(w *wire) { w.WriteString(raw(1<<24-1, http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, nil)) }, false},
	"frame past the size": {func(w *wire) { w.WriteString(raw(16<<10+1, http2.FramePing, 0, 0, make([]byte, 16<<10+1))) }, false},
	"padding":             {func(w *wire) { p := headers(1, call(), true); p.PadLength = 200; w.WriteHeaders(p) }, true},
	"nothing but padding": {func(w *wire) {
		w.WriteString(raw(1, http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, 1, []byte{1}))
	}, false},
	"padding without": {func(w *wire) {
		w.WriteString(raw(0, http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, 1, nil))
	}, false},
	"padding past the end": {func(w *wire) {
		w.WriteString(raw(6, http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, 1, []byte("\xff12345")))
	}, false},
	"priority": {func(w *wire) {
		p := headers(1, call(), true)
		p.Priority = http2.PriorityParam{StreamDep: 3, Weight: 9}
		w.WriteHeaders(p)
	}, true},
	"priority cut": {func(w *wire) {
		w.WriteString(raw(4, http2.FrameHeaders, http2.FlagHeadersPriority|http2.FlagHeadersEndHeaders, 1, []byte("1234")))
	}, false},
	"priority and padding":  {func(w *wire) { p := headers(1, call(), true); p.PadLength, p.Priority.Weight = 3, 9; w.WriteHeaders(p) }, true},
	"CONTINUATION":          {func(w *wire) { inPieces(w, call(), 1) }, true},
	"CONTINUATION and size": {func(w *wire) { inPieces(w, call("x", strings.Repeat("~", 40<<10)), 16<<10) }, true},
	"PING first":            {func(w *wire) { w.WritePing(false, [8]byte{1}); w.WriteHeaders(headers(1, call(), true)) }, false},
	"SETTINGS again":        {func(w *wire) { w.WriteSettings(); w.WriteHeaders(headers(1, call(), true)) }, false},
	"window of 0":           {func(w *wire) { w.WriteWindowUpdate(0, 0); w.WriteHeaders(headers(1, call(), true)) }, false},
	"window past its end":   {func(w *wire) { w.WriteWindowUpdate(0, 1<<31-1); w.WriteHeaders(headers(1, call(), true)) }, false},
	"reset of no stream":    {func(w *wire) { w.WriteRSTStream(1, 0); w.WriteHeaders(headers(1, call(), true)) }, false},
	"another stream's":      {func(w *wire) { w.WriteHeaders(headers(1, nil, false)); w.WriteContinuation(3, true, call()) }, false},
	"interrupted": {func(w *wire) {
		w.WriteHeaders(headers(1, nil, false))
		w.WritePing(false, [8]byte{})
		w.WriteContinuation(1, true, call())
	}, false},
	"header past the bound": {func(w *wire) { inPieces(w, call("x", strings.Repeat("~", 70<<10)), 16<<10) }, false},
	"CONTINUATION flood": {func(w *wire) {
		w.WriteHeaders(headers(1, call(), false))
		flood(w, func() { w.WriteContinuation(1, false, nil) })
	}, false},
	"PING flood": {func(w *wire) {
		flood(w, func() { w.WritePing(false, [8]byte{}) })
		w.WriteHeaders(headers(1, call(), true))
	}, false},
	"bytes past the bound": {func(w *wire) {
		for range 8 {
			w.WriteString(raw(16<<10, 0xbe, 0, 0, make([]byte, 16<<10)))
		}
		w.WriteHeaders(headers(1, call(), true))
	}, false},
}

// chatter is what clients say before their first request.
func chatter(w *wire) {
	w.WriteWindowUpdate(0, 1<<20)
	w.WritePriority(3, http2.PriorityParam{Weight: 200})
	w.WriteSettingsAck()
	w.WriteString(raw(3, 0xbe, 0xff, 99, []byte("new"))) // of a type that nobody knows
}

func flood(_ *wire, write func()) {
	for range commgrpc.MaxLookFrames {
		write()
	}
}

// inPieces writes a header block as frames of a size.
func inPieces(w *wire, b []byte, size int) {
	if size == 1 { // the first in halves of halves, so that frames stay few
		size = len(b)/40 + 1
	}
	w.WriteHeaders(headers(1, b[:min(size, len(b))], len(b) <= size))
	for b = b[min(size, len(b)):]; len(b) > 0; b = b[min(size, len(b)):] {
		w.WriteContinuation(1, len(b) <= size, b[:min(size, len(b))])
	}
}

func TestLook(t *testing.T) {
	for name, row := range looks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire()
			row.write(w)
			for slow, r := range map[string]io.Reader{"at once": bytes.NewReader(w.Bytes()), "byte by byte": iotest.OneByteReader(bytes.NewReader(w.Bytes()))} {
				seen, v, err := commgrpc.Look(r)
				if err != nil || (v == commgrpc.VerdictCall) != row.call {
					t.Errorf("%s: verdict %v, %v", slow, v, err)
				}
				rest, _ := io.ReadAll(r)
				if !bytes.Equal(append(seen, rest...), w.Bytes()) {
					t.Errorf("%s: %d bytes were seen and %d left, of %d", slow, len(seen), len(rest), w.Len())
				}
			}
		})
	}
}

// A connection that ends amid its beginning ends the look.
func TestLookAtAnEnd(t *testing.T) {
	t.Parallel()
	w := newWire()
	w.WriteHeaders(headers(1, call(), true))
	for n := range w.Len() {
		if _, _, err := commgrpc.Look(bytes.NewReader(w.Bytes()[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

// readOnly is a connection that yields what r does.
type readOnly struct {
	net.Conn
	r io.Reader
}

func (c readOnly) Read(p []byte) (int, error) { return c.r.Read(p) }

// withoutAck is b without the first acknowledgement of SETTINGS, the slow and simple way.
func withoutAck(b []byte) []byte {
	for at := len(commgrpc.Preface); at+9 <= len(b); {
		length := int(b[at])<<16 | int(b[at+1])<<8 | int(b[at+2])
		if b[at+3] == byte(http2.FrameSettings) && b[at+4]&1 != 0 {
			if length != 0 {
				return b // an error that net/http is to see
			}
			return append(b[:at:at], b[at+9:]...)
		}
		at += 9 + length
	}
	return b
}

func TestAckless(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(w *wire){
		"none":         func(*wire) {},
		"one":          func(w *wire) { w.WriteSettingsAck() },
		"two":          func(w *wire) { w.WriteSettingsAck(); w.WritePing(false, [8]byte{}); w.WriteSettingsAck() },
		"after frames": func(w *wire) { chatter(w); w.WriteData(1, true, make([]byte, 9000)); w.WriteSettingsAck() },
		"with payload": func(w *wire) { w.WriteString(raw(6, http2.FrameSettings, 1, 0, make([]byte, 6))); w.WriteSettingsAck() },
		"cut":          func(w *wire) { w.WriteSettingsAck(); w.WriteString("\x00\x00") },
		"cut before":   func(w *wire) { w.WriteString("\x00\x00\x00\x04") },
		"inside a DATA": func(w *wire) {
			w.WriteData(1, true, []byte(raw(0, http2.FrameSettings, 1, 0, nil)))
			w.WriteSettingsAck()
		},
	} {
		w := newWire()
		write(w)
		for slow, r := range map[string]io.Reader{"at once": bytes.NewReader(w.Bytes()), "byte by byte": iotest.OneByteReader(bytes.NewReader(w.Bytes()))} {
			got, err := io.ReadAll(commgrpc.Ackless(readOnly{r: r}))
			if want := withoutAck(w.Bytes()); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, %s: %v\n got %q\nwant %q", name, slow, err, got, want)
			}
		}
	}
}

// chunks reads as many bytes at once as its sizes say, over and over.
type chunks struct {
	r     io.Reader
	sizes []byte
	i     int
}

func (c *chunks) Read(p []byte) (int, error) {
	n := len(p)
	if len(c.sizes) > 0 {
		n = min(n, 1+int(c.sizes[c.i%len(c.sizes)]))
		c.i++
	}
	return c.r.Read(p[:n])
}

// FuzzLook: whatever a client sends, the look ends within its bounds, and who serves the connection reads what the client
// sent: all of it, or all but the one acknowledgement.
func FuzzLook(f *testing.F) {
	for _, row := range looks {
		w := newWire()
		row.write(w)
		f.Add(w.Bytes(), []byte{0, 3, 250})
	}
	f.Fuzz(func(t *testing.T, sent, sizes []byte) {
		r := &chunks{r: bytes.NewReader(sent), sizes: sizes}
		seen, _, _ := commgrpc.Look(r)
		if len(seen) > commgrpc.MaxLookBytes+16<<10 {
			t.Errorf("%d bytes were kept", len(seen))
		}
		whole := commgrpc.Rewound(readOnly{r: r}, bytes.Clone(seen))
		if len(sizes)%2 == 0 {
			if got, _ := io.ReadAll(whole); !bytes.Equal(got, sent) {
				t.Fatalf("read %q of %q", got, sent)
			}
			return
		}
		if len(sent) < len(commgrpc.Preface) {
			return // no HTTP/2
		}
		want := withoutAck(bytes.Clone(sent))
		if got, _ := io.ReadAll(commgrpc.Ackless(whole)); !bytes.Equal(got, want) {
			t.Fatalf("read %q of %q, want %q", got, sent, want)
		}
	})
}

// A header that repeats a long field costs no more to look at than its bytes. It is not parallel, for it
// takes the processor's time, which others on the machine do not lengthen.
func TestRepeatedField(t *testing.T) {
	w := newWire()
	youngest := []byte{0x80 | 62} // entry of the table, RFC 7541, section 2.3.3
	inPieces(w, append(call("user-agent", strings.Repeat("a ", 1950)), bytes.Repeat(youngest, 60<<10)...), 16<<10)
	before := cpuTime()
	seen, v, err := commgrpc.Look(bytes.NewReader(w.Bytes()))
	if err != nil || v != commgrpc.VerdictOther || len(seen) != w.Len() {
		t.Errorf("%v, %v, %d bytes of %d", v, err, len(seen), w.Len())
	}
	if took := cpuTime() - before; took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
}
