package commquic

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/quic-go/quic-go/quicvarint"

	"github.com/anasamu/comm"
)

// Codec returns the binary codec of version 1 of the client protocol, "comm.v1.binary": a frame is its type, the
// length of what follows, and fields, each with a key and a length (PROTOCOL.md, "comm/1").
func Codec() comm.Codec { return binaryCodec{} }

type binaryCodec struct{}

func (binaryCodec) Name() string { return "comm.v1.binary" }

// AppendFrame appends one frame. It fails for what the form cannot say: a number over 2^62-1, a time outside of
// the years 1 to 9999.
func (binaryCodec) AppendFrame(dst []byte, f *comm.Frame) ([]byte, error) { return appendFrame(dst, f) }

// ParseFrame decodes one frame and nothing behind it. Fields that this version does not know are skipped; a known
// one twice or with a wrong value is an error.
func (binaryCodec) ParseFrame(data []byte) (*comm.Frame, error) { return parseFrame(data, false) }

// Append makes the codec a comm.Format: the frame is all there is on the wire.
func (binaryCodec) Append(dst []byte, f *comm.Frame) ([]byte, error) { return appendFrame(dst, f) }

// wireFormat is the one format of all connections, boxed once.
var wireFormat comm.Format = binaryCodec{}

// typeLane opens a lane: the first frame of each unidirectional stream, and of nothing else.
const typeLane = 0x20

// frameTypes are the types on the wire, by op.
var frameTypes = [...]uint64{
	comm.OpMessage: 0x01, comm.OpHello: 0x02, comm.OpWelcome: 0x03, comm.OpJoin: 0x04, comm.OpJoined: 0x05,
	comm.OpLeave: 0x06, comm.OpLeft: 0x07, comm.OpAck: 0x08, comm.OpCall: 0x09, comm.OpReply: 0x0a,
	comm.OpError: 0x0b, comm.OpGap: 0x0c, comm.OpPing: 0x0d, comm.OpPong: 0x0e, comm.OpAuth: 0x0f,
	comm.OpAuthed: 0x10, comm.OpClosing: 0x11, comm.OpList: 0x12, comm.OpPresence: 0x13, comm.OpClose: 0x14,
}

// frameOps is frameTypes turned round.
var frameOps = func() (ops [0x20]struct {
	op    comm.Op
	known bool
},
) {
	for op, t := range frameTypes {
		ops[t].op, ops[t].known = comm.Op(op), true
	}
	return ops
}()

// The keys of fields, in one space for all frames. They are below 64, so that each is one byte.
const (
	keyID          = 1
	keyType        = 2
	keyContent     = 3
	keyContentType = 4
	keyFrom        = 5
	keyTo          = 6
	keyTimestamp   = 7
	keyHeader      = 8 // repeats
	keyMetadata    = 9
	keyAck         = 10
	keyLog         = 11
	keyEpoch       = 12
	keyOffset      = 13
	keyGroup       = 14 // repeats in hello
	keyTarget      = 15
	keyToken       = 16
	keyPosition    = 17
	keyVersion     = 18
	keySession     = 19
	keyHelloFact   = 20 // repeats: one member of the hello's metadata
	keyCode        = 21
	keyText        = 22
	keyReconnect   = 23
	keyAfter       = 24
	keyConn        = 25
	keyUser        = 26
	keyNode        = 27
	keyHeartbeat   = 28
	keyMaxMessage  = 29
	keyResumed     = 30
	keyExpires     = 31
	keyFirst       = 32
	keyLane        = 33
	keyPriority    = 34
	keyCount       = 35
)

// fieldNames are the keys' names in errors: those of PROTOCOL.md.
var fieldNames = [keyCount]string{
	keyID: "id", keyType: "type", keyContent: "content", keyContentType: "content_type", keyFrom: "from", keyTo: "to",
	keyTimestamp: "timestamp", keyHeader: "headers", keyMetadata: "metadata", keyAck: "ack", keyLog: "log",
	keyEpoch: "epoch", keyOffset: "offset", keyGroup: "group", keyTarget: "target", keyToken: "token",
	keyPosition: "position", keyVersion: "version", keySession: "session", keyHelloFact: "metadata", keyCode: "code",
	keyText: "message", keyReconnect: "reconnect", keyAfter: "after", keyConn: "conn", keyUser: "user", keyNode: "node",
	keyHeartbeat: "heartbeat", keyMaxMessage: "max_message", keyResumed: "resumed", keyExpires: "expires",
	keyFirst: "first", keyLane: "lane", keyPriority: "priority",
}

// maxHeader is the most that type and length of a frame take.
const maxHeader = 16

// frameSize reads the head of a frame: how long it is with all that belongs to it. A head that is not whole yet is
// errShort.
func frameSize(b []byte) (typ uint64, head int, size uint64, err error) {
	typ, n, err := quicvarint.Parse(b)
	if err != nil {
		return 0, 0, 0, errShort
	}
	length, m, err := quicvarint.Parse(b[n:])
	if err != nil {
		return 0, 0, 0, errShort
	}
	return typ, n + m, uint64(n+m) + length, nil
}

var errShort = errors.New("commquic: the frame ends before its head")

// badFrame is a frame that breaks the form.
func badFrame(id, format string, args ...any) *comm.FrameError {
	return &comm.FrameError{Code: comm.CodeBadFrame, ID: id, Text: fmt.Sprintf(format, args...)}
}

func badField(id string, key uint64, what string) *comm.FrameError {
	return badFrame(id, "field %q: %s", fieldNames[key], what)
}

// unknownType is the answer to a frame of a later version.
func unknownType(id string, typ uint64) *comm.FrameError {
	return &comm.FrameError{Code: comm.CodeUnknownOp, ID: id, Text: "unknown frame type 0x" + strconv.FormatUint(typ, 16)}
}
