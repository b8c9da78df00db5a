// Package wsframe is the wire format of WebSocket frames as pure bytes: no
// connection, no buffer of its own, no allocation.
//
// One unit per file: [Header] (RFC 6455 5.2), [Mask] (5.3), close payloads
// (5.5.1, 7.4) and [UTF8], the check of text that arrives in pieces (8.1).
package wsframe

import (
	"encoding/binary"
	"errors"
)

// Opcode says what a frame carries (RFC 6455 5.2).
type Opcode byte

// The opcodes RFC 6455 defines; all others are refused.
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xA
)

// Control reports whether o is a control frame's opcode.
func (o Opcode) Control() bool { return o&0x8 != 0 }

const (
	// MaxHeader is the longest header: 2 bytes, 8 of length, 4 of mask.
	MaxHeader = 14
	// MaxControl is the longest payload of a control frame (RFC 6455 5.5).
	MaxControl = 125

	finBit  = 0x80
	rsv1Bit = 0x40
	rsvBits = 0x30 // RSV2 and RSV3: no extension here uses them
	maskBit = 0x80
)

// What Parse refuses. Each is a protocol error, close code 1002.
var (
	ErrReserved = errors.New("wsframe: reserved bit set")
	ErrOpcode   = errors.New("wsframe: reserved opcode")
	ErrControl  = errors.New("wsframe: control frame fragmented or longer than 125 bytes")
	ErrMasked   = errors.New("wsframe: masked frame from a server")
	ErrUnmasked = errors.New("wsframe: unmasked frame from a client")
	ErrLength   = errors.New("wsframe: length not in its shortest form or above 2^63-1")
)

// Header is one frame's header.
type Header struct {
	Fin    bool
	RSV1   bool // set on the first frame of a compressed message (RFC 7692 6)
	Op     Opcode
	Masked bool
	Key    uint32 // as Mask takes it; meaningful only if Masked
	Length int64  // of the payload
}

// Rules are what a receiver demands beyond RFC 6455's constants.
type Rules struct {
	Masked  bool // frames must be masked: true on a server, false on a client (5.1)
	Deflate bool // permessage-deflate is in use, so RSV1 may be set on a message's first frame
}

// Parse reads the header at the start of b and returns its length in bytes.
// A length of 0 without an error asks for more bytes. What is wrong is found
// at the first byte that shows it, not when the header is complete.
func Parse(b []byte, rules Rules) (h Header, n int, err error) {
	if len(b) == 0 {
		return h, 0, nil
	}
	if err := h.parseFirst(b[0], rules); err != nil || len(b) == 1 {
		return h, 0, err
	}
	short := b[1] &^ maskBit
	h.Masked = b[1]&maskBit != 0
	switch {
	case h.Masked && !rules.Masked:
		return h, 0, ErrMasked
	case !h.Masked && rules.Masked:
		return h, 0, ErrUnmasked
	case h.Op.Control() && (short > MaxControl || !h.Fin):
		return h, 0, ErrControl
	}
	n, err = h.parseLength(b, short)
	if n == 0 || !h.Masked {
		return h, n, err
	}
	if len(b) < n+4 {
		return h, 0, nil
	}
	h.Key = binary.LittleEndian.Uint32(b[n:])
	return h, n + 4, nil
}

func (h *Header) parseFirst(b byte, rules Rules) error {
	h.Fin, h.RSV1, h.Op = b&finBit != 0, b&rsv1Bit != 0, Opcode(b&0xF)
	switch h.Op {
	case Continuation, Text, Binary, Close, Ping, Pong:
	default:
		return ErrOpcode
	}
	if b&rsvBits != 0 {
		return ErrReserved
	}
	if h.RSV1 && (!rules.Deflate || h.Op == Continuation || h.Op.Control()) {
		return ErrReserved
	}
	return nil
}

// parseLength returns the header's length up to the mask, 0 to ask for more.
func (h *Header) parseLength(b []byte, short byte) (int, error) {
	switch short {
	default:
		h.Length = int64(short)
		return 2, nil
	case 126:
		if len(b) < 4 {
			return 0, nil
		}
		v := binary.BigEndian.Uint16(b[2:])
		if v < 126 {
			return 0, ErrLength
		}
		h.Length = int64(v)
		return 4, nil
	case 127:
		if len(b) < 10 {
			return 0, nil
		}
		v := binary.BigEndian.Uint64(b[2:])
		if v>>63 != 0 || v <= 0xFFFF {
			return 0, ErrLength
		}
		h.Length = int64(v)
		return 10, nil
	}
}

// Size returns the length of h on the wire.
func (h Header) Size() int {
	n := 2
	switch {
	case h.Length > 0xFFFF:
		n += 8
	case h.Length >= 126:
		n += 2
	}
	if h.Masked {
		n += 4
	}
	return n
}

// Append appends h in its shortest form to dst.
func (h Header) Append(dst []byte) []byte {
	first, second := byte(h.Op), byte(0)
	if h.Fin {
		first |= finBit
	}
	if h.RSV1 {
		first |= rsv1Bit
	}
	if h.Masked {
		second = maskBit
	}
	switch {
	case h.Length > 0xFFFF:
		dst = append(dst, first, second|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(h.Length))
	case h.Length >= 126:
		dst = append(dst, first, second|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(h.Length))
	default:
		dst = append(dst, first, second|byte(h.Length))
	}
	if h.Masked {
		dst = binary.LittleEndian.AppendUint32(dst, h.Key)
	}
	return dst
}
