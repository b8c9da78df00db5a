package commgrpc

import (
	"encoding/binary"
	"io"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Bounds of looking at a connection, of which one past them is net/http's to refuse.
const (
	maxLookFrames = 64       // before the end of the first request's header
	maxLookBytes  = 96 << 10 // of all those frames
	maxLookBlock  = 64 << 10 // of the header, compressed
	maxLookFrame  = 16 << 10 // of one frame, the default of SETTINGS_MAX_FRAME_SIZE that our SETTINGS leave
)

// verdict is what a look at a connection came to.
type verdict uint8

const (
	verdictOther  verdict = iota // not for the native transport, or not HTTP/2 as it should be: net/http knows the answer
	verdictCall                  // a call of a gRPC library
	verdictSilent                // no request came in time
)

// lookahead reads the beginning of an HTTP/2 connection and keeps what it has read, which is preface first.
type lookahead struct {
	seen    []byte
	at      int // how much of seen has been looked at
	frames  int
	window  int64 // by how much the client has widened the connection's
	verdict verdict

	greeting int  // bytes of preface and first SETTINGS
	again    bool // more SETTINGS have come

	ack   func() error // tells the client that its SETTINGS have been read; nil for nobody to be told
	acked int          // bytes up to the end of those SETTINGS, once it was told
}

// read goes to the end of the first request's header. Its error is the connection's; what is wrong with the bytes is a
// verdict.
func (l *lookahead) read(r io.Reader) error {
	if _, err := l.take(r, len(preface)); err != nil {
		return unexpected(err)
	}
	first, _, ok, err := l.frame(r)
	if !ok || err != nil || !isSettings(first) {
		return err
	}
	l.greeting = l.at
	for {
		if err := l.acknowledge(); err != nil {
			return err
		}
		f, payload, ok, err := l.frame(r)
		switch {
		case !ok || err != nil:
			return err
		case f.Type == http2.FrameHeaders:
			return l.request(r, f, payload)
		case isSettings(f), isPing(f):
			l.verdict, l.again = verdictSilent, isSettings(f) // who waits for the answer may say nothing else before
			return nil
		case !l.harmless(f, payload):
			return nil
		}
	}
}

// acknowledge answers the client's SETTINGS before the first wait for more: some say nothing until then.
func (l *lookahead) acknowledge() error {
	if l.acked > 0 || l.ack == nil || l.at < len(l.seen) {
		return nil
	}
	l.acked = l.greeting
	return l.ack()
}

// isSettings reports whether a frame is SETTINGS as they should be (RFC 9113, section 6.5).
func isSettings(f http2.FrameHeader) bool {
	return f.Type == http2.FrameSettings && f.StreamID == 0 && f.Length%6 == 0 && !f.Flags.Has(http2.FlagSettingsAck)
}

func isPing(f http2.FrameHeader) bool {
	return f.Type == http2.FramePing && f.StreamID == 0 && f.Length == 8 && !f.Flags.Has(http2.FlagPingAck)
}

// harmless reports whether a frame before the first request needs no answer. All others do, be it as an error.
func (l *lookahead) harmless(f http2.FrameHeader, payload []byte) bool {
	switch f.Type {
	case http2.FrameSettings: // an acknowledgement, or none
		return f.StreamID == 0 && f.Length == 0
	case http2.FrameWindowUpdate:
		if f.StreamID != 0 || f.Length != 4 {
			return false
		}
		by := int64(binary.BigEndian.Uint32(payload) &^ (1 << 31))
		l.window += by
		return by > 0 && l.window <= 1<<31-1-65535 // RFC 9113, section 6.9.1
	case http2.FramePriority:
		return f.StreamID != 0 && f.Length == 5 && binary.BigEndian.Uint32(payload)&^(1<<31) != f.StreamID
	case http2.FrameData, http2.FrameRSTStream, http2.FramePushPromise, http2.FramePing, http2.FrameGoAway, http2.FrameContinuation:
		return false
	}
	return true // of a type that nobody knows, RFC 9113, section 4.1
}

// request reads a request's header and judges it.
func (l *lookahead) request(r io.Reader, f http2.FrameHeader, payload []byte) error {
	block, ok := fragment(f, payload)
	if !ok {
		return nil
	}
	if !f.Flags.Has(http2.FlagHeadersEndHeaders) {
		var err error
		if block, ok, err = l.continued(r, f.StreamID, block); !ok || err != nil {
			return err
		}
	}
	var c candidate
	decoder := hpack.NewDecoder(4096, c.field)
	if _, err := decoder.Write(block); err == nil && decoder.Close() == nil && c.native() {
		l.verdict = verdictCall
	}
	return nil
}

// continued appends the CONTINUATION frames of a header block, which nothing may interrupt (RFC 9113, section 6.10).
func (l *lookahead) continued(r io.Reader, stream uint32, block []byte) (whole []byte, ok bool, err error) {
	whole = append(whole, block...) // what was read may move
	for {
		f, payload, ok, err := l.frame(r)
		if !ok || err != nil {
			return nil, false, err
		}
		if f.Type != http2.FrameContinuation || f.StreamID != stream || len(whole)+len(payload) > maxLookBlock {
			return nil, false, nil
		}
		whole = append(whole, payload...)
		if f.Flags.Has(http2.FlagContinuationEndHeaders) {
			return whole, true, nil
		}
	}
}

// fragment is the part of a HEADERS frame that is header block (RFC 9113, section 6.2).
func fragment(f http2.FrameHeader, p []byte) (block []byte, ok bool) {
	if f.StreamID%2 == 0 {
		return nil, false
	}
	padding := 0
	if f.Flags.Has(http2.FlagHeadersPadded) {
		if len(p) < 1 {
			return nil, false
		}
		padding, p = int(p[0]), p[1:]
	}
	if f.Flags.Has(http2.FlagHeadersPriority) {
		if len(p) < 5 {
			return nil, false
		}
		p = p[5:]
	}
	if padding > len(p) {
		return nil, false
	}
	return p[:len(p)-padding], true
}

// frame reads one frame; ok is false past the bounds. The payload is valid until the next one is read.
func (l *lookahead) frame(r io.Reader) (f http2.FrameHeader, payload []byte, ok bool, err error) {
	if l.frames++; l.frames > maxLookFrames {
		return f, nil, false, nil
	}
	h, err := l.take(r, frameHeader)
	if err != nil {
		return f, nil, false, unexpected(err)
	}
	f = parseFrameHeader(h)
	if f.Length > maxLookFrame || l.at+int(f.Length) > maxLookBytes {
		return f, nil, false, nil
	}
	payload, err = l.take(r, int(f.Length))
	return f, payload, err == nil, unexpected(err)
}

const frameHeader = 9 // bytes, RFC 9113, section 4.1

func parseFrameHeader(b []byte) http2.FrameHeader {
	return http2.FrameHeader{
		Length: uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]),
		Type:   http2.FrameType(b[3]), Flags: http2.Flags(b[4]),
		StreamID: binary.BigEndian.Uint32(b[5:]) &^ (1 << 31),
	}
}

// take returns the next n bytes. It reads on only for what it lacks, so that what it keeps is bounded.
func (l *lookahead) take(r io.Reader, n int) ([]byte, error) {
	for len(l.seen) < l.at+n {
		if cap(l.seen) == len(l.seen) || cap(l.seen) < l.at+n {
			grown := make([]byte, len(l.seen), max(l.at+n, min(2*cap(l.seen), maxLookBytes), 1<<10))
			copy(grown, l.seen)
			l.seen = grown
		}
		k, err := r.Read(l.seen[len(l.seen):cap(l.seen)])
		l.seen = l.seen[:len(l.seen)+k]
		if err != nil && len(l.seen) < l.at+n {
			return nil, err
		}
	}
	b := l.seen[l.at : l.at+n]
	l.at += n
	return b, nil
}

// unexpected names the end of a connection amid a preface or frame for what it is.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
