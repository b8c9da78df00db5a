package main

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The client's own WebSocket framing (RFC 6455 5.2): just enough, and the same
// for every server.

const (
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
)

const deflatedBit = 0x40 // RSV1, RFC 7692

// maskKey is fixed: masking costs the server the same whatever the key.
var maskKey = [4]byte{0x5a, 0xc3, 0x17, 0x9e}

// appendClientFrame appends one masked frame.
func appendClientFrame(dst []byte, op byte, deflated bool, p []byte) []byte {
	first := 0x80 | op
	if deflated {
		first |= deflatedBit
	}
	dst = append(dst, first)
	switch n := len(p); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(n))
	}
	dst = append(dst, maskKey[:]...)
	for i, b := range p {
		dst = append(dst, b^maskKey[i&3])
	}
	return dst
}

// serverFrame is one frame of a server, in place.
type serverFrame struct {
	op       byte
	fin      bool
	deflated bool
	payload  []byte
}

var errMasked = errors.New("the server masked a frame")

// parseServerFrame takes one frame off b. rest is b if the frame is not whole.
func parseServerFrame(b []byte) (f serverFrame, rest []byte, ok bool, err error) {
	if len(b) < 2 {
		return f, b, false, nil
	}
	if b[1]&0x80 != 0 {
		return f, b, false, errMasked
	}
	n, head := int(b[1]), 2
	switch n {
	case 126:
		if len(b) < 4 {
			return f, b, false, nil
		}
		n, head = int(binary.BigEndian.Uint16(b[2:])), 4
	case 127:
		if len(b) < 10 {
			return f, b, false, nil
		}
		n, head = int(binary.BigEndian.Uint64(b[2:])), 10
	}
	if len(b)-head < n {
		return f, b, false, nil
	}
	f = serverFrame{op: b[0] & 0x0f, fin: b[0]&0x80 != 0, deflated: b[0]&deflatedBit != 0, payload: b[head : head+n]}
	return f, b[head+n:], true, nil
}

// closedBy is the error of a close frame.
func closedBy(p []byte) error {
	if len(p) < 2 {
		return errors.New("the server closed")
	}
	return fmt.Errorf("the server closed: %d %s", binary.BigEndian.Uint16(p), p[2:])
}
