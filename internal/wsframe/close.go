package wsframe

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// NoStatus is the code that stands for a close frame without one (RFC 6455 7.1.5).
const NoStatus = 1005

// MaxReason is the longest reason of a close frame, in bytes.
const MaxReason = MaxControl - 2

// What is wrong with a close payload: a protocol error (1002), except
// ErrCloseReason, which is invalid data (1007).
var (
	ErrClosePayload = errors.New("wsframe: close payload of one byte")
	ErrCloseCode    = errors.New("wsframe: close code not allowed on the wire")
	ErrCloseReason  = errors.New("wsframe: close reason is not UTF-8")
)

// ValidCode reports whether a close frame may carry code: those RFC 6455 7.4.1
// and IANA's registry define for the wire, and 3000-4999 (7.4.2).
func ValidCode(code uint16) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014:
		return true
	}
	return code >= 3000 && code <= 4999
}

// ParseClose reads a close frame's payload. An empty one yields NoStatus.
// The reason aliases p.
func ParseClose(p []byte) (code uint16, reason []byte, err error) {
	switch len(p) {
	case 0:
		return NoStatus, nil, nil
	case 1:
		return 0, nil, ErrClosePayload
	}
	code, reason = binary.BigEndian.Uint16(p), p[2:]
	if !ValidCode(code) {
		return 0, nil, ErrCloseCode
	}
	if !utf8.Valid(reason) {
		return 0, nil, ErrCloseReason
	}
	return code, reason, nil
}

// AppendClose appends a close payload; NoStatus appends nothing. The caller
// has checked code with ValidCode and reason against MaxReason.
func AppendClose(dst []byte, code uint16, reason string) []byte {
	if code == NoStatus {
		return dst
	}
	return append(binary.BigEndian.AppendUint16(dst, code), reason...)
}

// CutReason cuts text to what a close frame takes, at a character's end.
func CutReason(text string) string {
	if len(text) <= MaxReason {
		return text
	}
	text = text[:MaxReason]
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text
}
