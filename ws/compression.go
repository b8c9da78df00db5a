package ws

import (
	"fmt"

	"github.com/anasamu/comm/internal/deflate"
)

// Compression configures permessage-deflate (RFC 7692). The zero value is the
// recommended setting.
//
// Compressing a secret together with text that an attacker chooses leaks the
// secret through the length (CRIME, BREACH); send such messages with
// [Conn.WritePlain].
type Compression struct {
	// Level is compress/flate's: 1 to 9, or -2 for Huffman only. 0 is 1.
	Level int
	// MinSize is the length in bytes from which a message is compressed.
	// 0 is 128; negative compresses all.
	MinSize int
	// Takeover keeps this end's compression context from message to message.
	// It compresses similar small messages far better and costs about a
	// megabyte a connection, taken from Budget.
	Takeover bool
	// NoPeerTakeover asks the peer to forget its context after each message,
	// which spares a window of up to 32 KiB a connection.
	NoPeerTakeover bool
	// WindowBits bounds this end's window to 1<<WindowBits bytes, 8 to 15.
	// 0 is 15.
	WindowBits int
	// PeerWindowBits asks the peer for a window of at most that, 8 to 15.
	// 0 is 15. A server can ask only clients that offer the parameter.
	PeerWindowBits int
	// Budget is the memory for compressors under Takeover. Past it new
	// connections do without takeover. nil is one of 64 MiB that all of the
	// process share.
	Budget *Budget
}

// Budget bounds the memory, in bytes, of the compressors that connections
// keep. Safe for concurrent use.
type Budget struct{ b *deflate.Budget }

// NewBudget returns a budget of n bytes. A compressor takes about 1.2 MB at
// level 1 and 0.8 MB at the others.
func NewBudget(n int64) *Budget { return &Budget{deflate.NewBudget(n)} }

// Free returns the bytes that are not taken.
func (b *Budget) Free() int64 { return b.b.Free() }

var processBudget = NewBudget(64 << 20)

// WithCompression turns permessage-deflate on: a server agrees to it where
// it is offered, a client offers it. It is off by default.
func WithCompression(c Compression) Option {
	return shared(func(s *settings) error {
		c, err := c.resolve()
		if err != nil {
			return err
		}
		s.compression = c
		return nil
	})
}

// resolve fills the defaults in.
func (c Compression) resolve() (*Compression, error) {
	c.Level = orDefault(c.Level, 1)
	c.MinSize = orDefault(c.MinSize, 128)
	c.WindowBits = orDefault(c.WindowBits, deflate.MaxBits)
	c.PeerWindowBits = orDefault(c.PeerWindowBits, deflate.MaxBits)
	if c.Budget == nil {
		c.Budget = processBudget
	}
	if c.Level != deflate.MinLevel && (c.Level < 1 || c.Level > deflate.MaxLevel) {
		return nil, refuse("Compression.Level", c.Level, "1 to 9, or -2")
	}
	for _, bits := range []int{c.WindowBits, c.PeerWindowBits} {
		if bits < deflate.MinBits || bits > deflate.MaxBits {
			return nil, refuse("Compression window bits", bits, fmt.Sprintf("%d to %d", deflate.MinBits, deflate.MaxBits))
		}
	}
	return &c, nil
}

func orDefault(v, def int) int {
	if v == 0 {
		return def
	}
	return v
}

// wish is what this end asks of a negotiation. takeover says whether the
// budget has granted it.
func (c *Compression) wish(takeover bool) deflate.Wish {
	return deflate.Wish{
		Takeover:     takeover,
		PeerTakeover: !c.NoPeerTakeover,
		Bits:         c.WindowBits,
		PeerBits:     c.PeerWindowBits,
	}
}

// reserve takes a compressor's memory from the budget, if takeover is wanted.
func (c *Compression) reserve() (granted int64) {
	if cost := deflate.Cost(c.Level); c.Takeover && c.Budget.b.Take(cost) {
		return cost
	}
	return 0
}

// release gives back what reserve took.
func (c *Compression) release(granted int64) {
	if granted > 0 {
		c.Budget.b.Give(granted)
	}
}

// agreed is a connection's compression: what was negotiated, and the memory
// its own compressor has reserved.
type agreed struct {
	on      bool
	params  deflate.Params
	granted int64

	dec *deflate.Decoder // made at the first use; guarded by the input's lock
	enc *deflate.Encoder // the same; guarded by the output's message
}

// own and peer return the parameters of each end's compressor.
func (a agreed) own(s Side) deflate.Side {
	if s == Server {
		return a.params.Server
	}
	return a.params.Client
}

func (a agreed) peer(s Side) deflate.Side {
	if s == Server {
		return a.params.Client
	}
	return a.params.Server
}

// settle keeps the reservation only if the negotiation came out with takeover.
func (c *Compression) settle(a agreed, s Side) agreed {
	if !a.on || !a.own(s).Takeover {
		c.release(a.granted)
		a.granted = 0
	}
	return a
}
