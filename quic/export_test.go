package commquic

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/jsonscan"
)

// ConnOf is the QUIC connection of a client's carrier.
func ConnOf(c comm.Carrier) *quic.Conn { return c.(*dialed).line.conn }

// FitsDatagram asks whether a datagram of that size could be sent.
func FitsDatagram(c comm.Carrier, size int) bool { return c.(*dialed).datagrams.fits(size) }

// SendBytes sends bytes on the default lane of a client's carrier.
func SendBytes(ctx context.Context, c comm.Carrier, b []byte) error {
	return c.(*dialed).write(ctx, b)
}

// SendRaw sends, in the place of a frame, what the JSON of one says in the binary form: what is wrong with it is
// wrong here too, and it is as long.
func SendRaw(ctx context.Context, c comm.Carrier, data []byte) error {
	return SendBytes(ctx, c, transliterate(data))
}

// transliterate writes one field for each member, whatever it is.
func transliterate(data []byte) []byte {
	var fields []byte
	typ := frameTypes[comm.OpMessage]
	err := jsonscan.Object(data, func(name, value []byte) error {
		if string(name) == "op" {
			typ = 0x1f
			for op := range frameTypes {
				if s, _ := jsonscan.String(value); comm.Op(op).String() == s {
					typ = frameTypes[op]
				}
			}
			return nil
		}
		for key, known := range fieldNames {
			if known == string(name) && key != keyHelloFact {
				fields = appendField(fields, key, fieldValue(key, value))
			}
		}
		return nil
	})
	if err != nil {
		fields = []byte{keyType, 60, 'x'} // ends behind the frame
	}
	return padded(typ, fields, len(data))
}

func fieldValue(key int, value []byte) []byte {
	s, text := jsonscan.String(value)
	switch n, err := strconv.ParseUint(string(value), 10, 62); {
	case key == keyContent:
		return value
	case key == keyAck || key == keyReconnect || key == keyResumed:
		return nil
	case key == keyVersion || key == keyOffset:
		if err != nil {
			return []byte("???")
		}
		return quicvarint.Append(nil, n)
	case !text:
		return []byte{0xff}
	}
	return []byte(s)
}

func appendField(b []byte, key int, value []byte) []byte {
	b = quicvarint.Append(append(b, byte(key)), uint64(len(value)))
	return append(b, value...)
}

// padded makes a frame of at least size bytes, with a field that nobody knows.
func padded(typ uint64, fields []byte, size int) []byte {
	frame := func(pad int) []byte {
		b := fields
		if pad > 0 {
			b = append(append(bytes.Clone(fields), 0x40, 0x7f), quicvarint.Append(nil, uint64(pad))...)
			b = append(b, make([]byte, pad)...)
		}
		return append(quicvarint.Append(quicvarint.Append(nil, typ), uint64(len(b))), b...)
	}
	for pad := 0; ; pad++ {
		if b := frame(pad); len(b) >= size {
			return b
		}
	}
}

// ParseOwned parses a frame that may keep its bytes.
func ParseOwned(b []byte) (*comm.Frame, error) { return parseFrame(b, true) }

// ForgetSelf has a client forget its own address, so that what comes shows what the wire says.
func ForgetSelf(c comm.Carrier) { c.(*dialed).frames.alone = "" }

// ReadFrames reads a stream of frames to its end, and says how it ended: "eof", "unexpected", "large" or "form".
func ReadFrames(r io.Reader, most int, lane bool) (frames int, end string) {
	s := newFrameStream(r, most)
	if lane {
		if _, err := s.lane(); err != nil {
			return 0, endName(err)
		}
	}
	for {
		_, err := s.parse()
		if _, bad := errors.AsType[*comm.FrameError](err); err != nil && !bad {
			return frames, endName(err)
		}
		frames++
	}
}

func endName(err error) string {
	var large *tooLarge
	var form *formError
	switch {
	case err == io.EOF:
		return "eof"
	case errors.As(err, &large):
		return "large"
	case errors.As(err, &form):
		return "form"
	}
	return "unexpected"
}

// LaneFrame is the frame that opens a lane.
func LaneFrame(name string, p comm.Priority) []byte { return appendLane(nil, laneHead{name, p}) }

// ReadLane reads it.
func ReadLane(b []byte) (name string, p comm.Priority, err error) {
	s := newFrameStream(bytes.NewReader(b), 1<<20)
	h, err := s.lane()
	return h.name, h.priority, err
}

// TellSizes warns about sizes of UDP buffers.
var TellSizes = tellSizes

// ConfigOf is what a provider was configured with.
func ConfigOf(p *Provider) Config { return p.conf }

// AppendHead appends a message's frame without the bytes of its content.
var AppendHead = appendHead

// Admission is what decides which clients may begin a connection.
type Admission struct{ a *admission }

// NewAdmission makes one.
func NewAdmission(t testing.TB, h comm.Host, c Config) Admission {
	a, err := newAdmission(h, &c)
	if err != nil {
		t.Fatal(err)
	}
	return Admission{a}
}

// MustProve asks whether a client must prove its address first.
func (a Admission) MustProve(from net.Addr) bool { return a.a.mustProve(from) }

// Admit lets a connection in until end is called.
func (a Admission) Admit(from net.Addr) (end func(), err error) {
	ctx, end := context.WithCancel(context.Background())
	_, err = a.a.admit(ctx, &quic.ClientInfo{RemoteAddr: from})
	return end, err
}

// Held is how many connections are counted, and of how many addresses.
func (a Admission) Held() (open int64, addrs int) { return a.a.open.Load(), a.a.byAddr.Len() }

// Reachable and FirstOf are how a client chooses among a name's addresses.
var Reachable = reachable

// FirstOf tries addresses.
func FirstOf(ctx context.Context, addrs []net.Addr, dial func(context.Context, net.Addr) (string, error), drop func(string)) (string, error) {
	return firstOf(ctx, addrs, dial, drop)
}

// AttemptDelay is how long one address is tried alone, and MaxAddrs how many are.
const (
	AttemptDelay = attemptDelay
	MaxAddrs     = maxAddrs
)

// WatchSilence watches for a server that is gone.
func WatchSilence(keepAlive time.Duration, received func() uint64, say func()) (stop func()) {
	s := &silence{received: received, say: say}
	s.start(keepAlive)
	return s.stop
}
