package commgrpc

import (
	"io"
	"net"

	"golang.org/x/net/http2"
)

// bare is the connection beneath what replays its first bytes, which look has read.
func bare(c net.Conn) net.Conn {
	if r, ok := c.(interface{ BareConn() (net.Conn, bool) }); ok {
		if below, ok := r.BareConn(); ok {
			return below
		}
	}
	return c
}

// rewound is a connection that yields what was read of it once more.
type rewound struct {
	net.Conn
	first []byte // owned by the reader
}

func (c *rewound) Read(p []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(p, c.first)
		if c.first = c.first[n:]; len(c.first) == 0 {
			c.first = nil
		}
		return n, nil
	}
	return c.Conn.Read(p)
}

// ackless is a connection without the client's first acknowledgement of SETTINGS. It is that of the claim's, and
// net/http takes one more than it has sent for an error of the client.
type ackless struct {
	net.Conn
	header  [frameHeader]byte // of the frame that is being read
	have    int               // how much of header
	out     []byte            // of header, still to be yielded
	skip    int               // preface and payload still to be yielded
	started bool
	done    bool
}

func (c *ackless) Read(p []byte) (int, error) {
	if c.done && len(c.out) == 0 || len(p) == 0 {
		return c.Conn.Read(p)
	}
	if !c.started {
		c.started, c.skip = true, len(preface)
	}
	for {
		switch {
		case len(c.out) > 0:
			n := copy(p, c.out)
			c.out = c.out[n:]
			return n, nil
		case c.done:
			return c.Conn.Read(p)
		case c.skip > 0:
			n, err := c.Conn.Read(p[:min(len(p), c.skip)])
			c.skip -= n
			return n, err
		}
		if err := c.next(); err != nil {
			return 0, err
		}
	}
}

// next reads on in the header of a frame. One that the connection's end cuts short is yielded as it is; after any other
// error, such as a deadline's, reading can go on.
func (c *ackless) next() error {
	n, err := c.Conn.Read(c.header[c.have:])
	c.have += n
	if c.have < frameHeader {
		if err == io.EOF && c.have > 0 {
			c.done, c.out, err = true, c.header[:c.have], nil
		}
		return err
	}
	c.have = 0
	f := parseFrameHeader(c.header[:])
	if f.Type == http2.FrameSettings && f.Flags.Has(http2.FlagSettingsAck) {
		c.done = true
		if f.Length == 0 {
			return nil
		}
	}
	c.out, c.skip = c.header[:], int(f.Length)
	return nil
}
