package commgrpc

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"google.golang.org/grpc"
)

// WebSettings are the options of NewMixed. The zero value allows every page, messages of 4 MiB, and 10 s.
type WebSettings struct {
	CheckOrigin               func(*http.Request) error
	MaxReceive                int
	BodyTimeout, WriteTimeout time.Duration
}

// NewMixed is newMixed for a server with its services. The server needs PaceStream.
func NewMixed(s *grpc.Server, o WebSettings) http.Handler {
	if o.CheckOrigin == nil {
		o.CheckOrigin = func(*http.Request) error { return nil }
	}
	return newMixed(s, webOptions{
		services: s.GetServiceInfo(), checkOrigin: o.CheckOrigin, maxReceive: orElse(o.MaxReceive, 4<<20),
		bodyTimeout: orElse(o.BodyTimeout, 10*time.Second), writeTimeout: orElse(o.WriteTimeout, 10*time.Second),
	})
}

// PaceStream is paceStream.
var PaceStream = paceStream

// MaxAhead is maxAhead.
const MaxAhead = maxAhead

// ReadFrame is readFrame.
var ReadFrame = readFrame

// AppendTrailers is appendTrailers.
var AppendTrailers = appendTrailers

// NewTextReader is newTextReader.
func NewTextReader(r io.Reader) io.Reader { return newTextReader(r) }

// TextPieces encodes pieces as a response does that is flushed after each.
func TextPieces(pieces ...[]byte) []byte {
	var b bytes.Buffer
	t := &textWriter{w: &b}
	for _, p := range pieces {
		_, _ = t.Write(p) // a bytes.Buffer does not fail
		_ = t.pad()
	}
	return b.Bytes()
}

// Paced is a pacedBody.
type Paced = pacedBody

// NewPaced is newPacedBody.
var NewPaced = newPacedBody

// Taken is taken.
func (b *pacedBody) Taken() { b.taken() }

// Over reports whether a message came that is longer than the server takes.
func (b *pacedBody) Over() bool { return b.over }

// TakeTrailers is takeTrailers.
var TakeTrailers = takeTrailers
