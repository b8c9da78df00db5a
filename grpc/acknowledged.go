package commgrpc

import (
	"net"
	"sync"

	"golang.org/x/net/http2"
)

// acknowledged is a connection whose client's SETTINGS the claim has acknowledged.
//
// The first acknowledgement that is written to it is left out, because a client may take a second one for an error.
// Until it is written, nothing is read but those SETTINGS, because net/http acknowledges two that have come by one.
//
// A client that has sent SETTINGS again may expect their acknowledgement next. It therefore hears none of the server's
// own SETTINGS: those of the claim promise less, and the client's acknowledgement of them stands for that of the others.
// Writes must not overlap.
type acknowledged struct {
	net.Conn
	greeting int           // bytes of preface and SETTINGS still to be read; of the reader
	through  bool          // open was waited for; of the reader
	open     chan struct{} // closed when reading may go on
	opened   func()        // closes open

	// Of the writer.
	header  [frameHeader]byte // of the frame that is being written
	have    int               // how much of header
	skip    int               // payload still to be written
	mute    bool              // SETTINGS of the server are left out
	silence bool              // skip is of what is left out
	dropped bool              // the acknowledgement was left out
	done    bool              // all is written as it comes
}

// newAcknowledged is c, which yields the bytes of the greeting first; mute leaves the server's SETTINGS out.
func newAcknowledged(c net.Conn, greeting int, mute bool) *acknowledged {
	a := &acknowledged{Conn: c, greeting: greeting, mute: mute, open: make(chan struct{})}
	a.opened = sync.OnceFunc(func() { close(a.open) })
	return a
}

// Read reads the greeting, and the rest once that is acknowledged.
func (c *acknowledged) Read(p []byte) (int, error) {
	if c.greeting > 0 {
		n, err := c.Conn.Read(p[:min(len(p), c.greeting)])
		c.greeting -= n
		return n, err
	}
	if !c.through {
		<-c.open
		c.through = true
	}
	return c.Conn.Read(p)
}

// Close ends a Read that waits.
func (c *acknowledged) Close() error {
	c.opened()
	return c.Conn.Close()
}

// Write keeps the header of a frame until it is whole.
func (c *acknowledged) Write(p []byte) (int, error) {
	if c.done {
		return c.Conn.Write(p)
	}
	if out := c.filter(p); len(out) > 0 {
		if _, err := c.Conn.Write(out); err != nil {
			return 0, err
		}
	}
	if c.dropped {
		c.opened()
	}
	return len(p), nil
}

// filter is what is to be written of p.
func (c *acknowledged) filter(p []byte) (out []byte) {
	for len(p) > 0 && !c.done {
		if c.skip > 0 {
			n := min(c.skip, len(p))
			if !c.silence {
				out = append(out, p[:n]...)
			}
			p, c.skip = p[n:], c.skip-n
			continue
		}
		n := copy(c.header[c.have:], p)
		c.have, p = c.have+n, p[n:]
		if c.have == frameHeader {
			c.have = 0
			out = c.frame(out)
		}
	}
	return append(out, p...)
}

// frame decides about a frame by its header. The server's own SETTINGS come before its acknowledgement.
func (c *acknowledged) frame(out []byte) []byte {
	f := parseFrameHeader(c.header[:])
	c.skip = int(f.Length)
	settings := f.Type == http2.FrameSettings
	ack := settings && f.Flags.Has(http2.FlagSettingsAck)
	c.done, c.dropped = ack, ack
	if c.silence = settings && c.mute; ack || c.silence {
		return out
	}
	return append(out, c.header[:]...)
}
