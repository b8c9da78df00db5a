package commquic

import (
	"errors"
	"fmt"
	"io"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
)

// The flow control of sessions (draft-ietf-webtrans-http3-13 and later, 5): settings of the first limits, capsules that
// raise them or tell that they are felt, and the code with which a session ends whose peer does not keep them.
const (
	settingMaxData        = 0x2b61
	settingMaxStreamsUni  = 0x2b64
	settingMaxStreamsBidi = 0x2b65

	capsuleMaxData            = http3.CapsuleType(0x190b4d3d)
	capsuleMaxStreamData      = http3.CapsuleType(0x190b4d3e) // of HTTP/2 alone
	capsuleMaxStreamsBidi     = http3.CapsuleType(0x190b4d3f)
	capsuleMaxStreamsUni      = http3.CapsuleType(0x190b4d40)
	capsuleDataBlocked        = http3.CapsuleType(0x190b4d41)
	capsuleStreamDataBlocked  = http3.CapsuleType(0x190b4d42) // of HTTP/2 alone
	capsuleStreamsBlockedBidi = http3.CapsuleType(0x190b4d43)
	capsuleStreamsBlockedUni  = http3.CapsuleType(0x190b4d44)

	codeFlowControl = quic.StreamErrorCode(0x045d4487)
	maxStreamCount  = 1 << 60
)

// errFlowControl is the end of a session whose peer does not keep to its limits, or gives limits that are none.
var errFlowControl = errors.New("commquic: WebTransport flow control")

func flowError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errFlowControl}, args...)...)
}

// wtLimits are how much one end may use of a session of the other's before it is allowed more. The zero value says that
// there is no flow control of sessions.
type wtLimits struct{ data, bidi, uni uint64 }

func (l wtLimits) announced() bool { return l != wtLimits{} }

// limitsOf are those that a peer's settings give.
func limitsOf(s *http3.Settings) wtLimits {
	return wtLimits{
		s.Other[settingMaxData], min(s.Other[settingMaxStreamsBidi], maxStreamCount), min(s.Other[settingMaxStreamsUni], maxStreamCount),
	}
}

// settings adds them to those of this end.
func (l wtLimits) settings(to map[uint64]uint64) {
	if l.announced() {
		to[settingMaxData], to[settingMaxStreamsBidi], to[settingMaxStreamsUni] = l.data, l.bidi, l.uni
	}
}

// sessionLimits are what this end announces on a connection: nothing where a reset could lose the beginning of a
// stream, so that the two ends would not count the same (draft 16, 5.3).
func sessionLimits(c *quic.Conn, streams, window int) wtLimits {
	if streams <= 0 || window <= 0 || !c.ConnectionState().SupportsStreamResetPartialDelivery.Local {
		return wtLimits{}
	}
	return wtLimits{data: uint64(window), bidi: uint64(streams), uni: uint64(streams)}
}

// isFlowCapsule reports whether a capsule is about flow control.
func isFlowCapsule(t http3.CapsuleType) bool {
	return t >= capsuleMaxData && t <= capsuleStreamsBlockedUni
}

// appendLimit writes a capsule of flow control, all of which have one number.
func appendLimit(b []byte, t http3.CapsuleType, n uint64) []byte {
	b = quicvarint.Append(b, uint64(t))
	b = quicvarint.Append(b, uint64(quicvarint.Len(n)))
	return quicvarint.Append(b, n)
}

// readLimit reads its number.
func readLimit(t http3.CapsuleType, body http3.CapsuleReader) (uint64, error) {
	if body.Remaining() > 8 {
		return 0, flowError("capsule %#x has %d bytes", uint64(t), body.Remaining())
	}
	n, err := quicvarint.Read(body)
	switch {
	case err == io.EOF:
		return 0, flowError("capsule %#x has no number", uint64(t))
	case err != nil: // of the stream
		return 0, err
	case body.Remaining() > 0:
		return 0, flowError("capsule %#x has more than a number", uint64(t))
	}
	return n, nil
}
