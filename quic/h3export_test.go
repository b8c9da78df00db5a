package commquic

import "time"

// OpenStreams is how many streams a session holds.
func OpenStreams(s *WebTransportSession) int { return s.openStreams() }

// What the fuzz targets reach.
var (
	ReadCapsules     = readCapsules
	AppendClose      = appendClose
	ReadStreamHeader = readStreamHeader
	AppendHeader     = appendStreamHeader
	PeekVarint       = peekVarint
	WireCode         = wireCode
	ApplicationCode  = applicationCode
)

// NewClose makes what a close capsule says, and CloseParts takes it apart.
func NewClose(code uint32, message string) wtClose { return wtClose{code, message} }

// CloseParts returns a close capsule's code and reason.
func CloseParts(c wtClose) (uint32, string) { return c.code, c.message }

// WTClose is what a close capsule says.
type WTClose = wtClose

// Idle is the timer of a connection without requests.
type Idle struct{ *idle }

// NewIdle makes one; Start to Stop are its methods.
func NewIdle(after time.Duration, end func()) Idle { return Idle{&idle{after: after, end: end}} }

func (i Idle) Start() { i.start() }
func (i Idle) Stop()  { i.stop() }
func (i Idle) Enter() { i.enter() }
func (i Idle) Leave() { i.leave() }
