package deflate

import (
	"compress/flate"
	"sync"
)

// MinLevel and MaxLevel bound what NewEncoder takes: compress/flate's levels
// with HuffmanOnly as the lowest.
const (
	MinLevel = flate.HuffmanOnly
	MaxLevel = flate.BestCompression
)

// tail is what a sync flush ends with; it does not go on the wire (RFC 7692 7.2.1).
const tail = "\x00\x00\xff\xff"

// pools hold idle compressors by level, less MinLevel.
var pools [MaxLevel - MinLevel + 1]sync.Pool

// compressor is a flate writer and the slice it appends to.
type compressor struct {
	fw    *flate.Writer
	out   []byte
	level int
	since int // bytes taken since the last Reset
}

func (c *compressor) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	return len(p), nil
}

func borrow(level int) *compressor {
	if c, ok := pools[level-MinLevel].Get().(*compressor); ok {
		return c
	}
	c := &compressor{level: level}
	c.fw, _ = flate.NewWriter(c, level) // fails on a bad level only, and callers have checked it
	return c
}

func (c *compressor) giveBack() {
	c.out = nil
	pools[c.level-MinLevel].Put(c)
}

func (c *compressor) reset() {
	c.fw.Reset(c)
	c.since = 0
}

// write compresses p so that no reference reaches further back than window:
// compress/flate's window is fixed at 32 KB, so a smaller one is kept by
// starting anew on a byte boundary whenever that many bytes went in.
func (c *compressor) write(p []byte, bits int) {
	window := 1 << bits
	for bits < MaxBits && c.since+len(p) > window {
		n := window - c.since
		c.fw.Write(p[:n])
		c.fw.Flush()
		c.reset()
		p = p[n:]
	}
	c.fw.Write(p)
	c.since += len(p)
}

// Encoder compresses the messages one end sends. Not safe for concurrent use.
// It costs nothing between messages unless its side keeps its context.
type Encoder struct {
	side  Side
	level int
	c     *compressor // lent for a message, or kept where the context is
}

// NewEncoder returns an encoder for one side's parameters. level is between
// MinLevel and MaxLevel.
func NewEncoder(side Side, level int) *Encoder { return &Encoder{side: side, level: level} }

// Append appends p, compressed as one whole message, to dst.
func (e *Encoder) Append(dst, p []byte) []byte {
	dst = e.Write(dst, p)
	return e.End(dst)
}

// Write appends to dst what the compressor lets out of p, the next piece of
// the open message; much of it comes with End.
func (e *Encoder) Write(dst, p []byte) []byte {
	if e.c == nil {
		e.c = borrow(e.level)
		e.c.reset()
	}
	e.c.out = dst
	e.c.write(p, e.side.Bits)
	dst, e.c.out = e.c.out, nil
	return dst
}

// End appends the rest of the open message to dst and ends it. dst must hold
// at least what the last Write returned for this message, or be empty.
func (e *Encoder) End(dst []byte) []byte {
	e.c.out = dst
	e.c.fw.Flush()
	dst, e.c.out = e.c.out, nil
	if !e.side.Takeover {
		e.c.giveBack()
		e.c = nil
	}
	return dst[:len(dst)-len(tail)]
}

// Reset forgets the context. It must follow every compressed message that was
// put into the stream from elsewhere, and every message that was compressed
// here and not sent: the peer's window then holds what this compressor has
// not seen, or the other way round.
func (e *Encoder) Reset() {
	if e.c != nil {
		e.c.reset()
	}
}

// Append appends p to dst, compressed as one message that needs no context
// and leaves none that matters: the form that many connections can share.
func Append(dst, p []byte, bits, level int) []byte {
	e := Encoder{side: Side{Bits: bits}, level: level}
	return e.Append(dst, p)
}
