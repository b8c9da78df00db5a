package commquic

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// OpenStreams is how many streams a session holds.
func OpenStreams(s *WebTransportSession) int { return s.openStreams() }

// What the fuzz targets reach.
var (
	AppendClose     = appendClose
	AppendHeader    = appendStreamHeader
	PeekVarint      = peekVarint
	WireCode        = wireCode
	ApplicationCode = applicationCode
)

// ReadCapsules reads a session's capsules.
func ReadCapsules(r io.Reader, draining func(), closed func(wtClose)) error {
	return readCapsules(r, wtCapsules{drain: draining, close: closed})
}

// ReadStreamHeader reads the beginning of a stream.
func ReadStreamHeader(r io.Reader) (quic.StreamID, int64, error) { return readStreamHeader(r) }

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

// Flow is the flow control of a session, whose peer has announced limits.
type Flow struct{ *wtFlow }

// NewFlow makes one. Each list has bytes, bidirectional and unidirectional streams; told counts how often the telling
// begins.
func NewFlow(ours, theirs [3]uint64, told func()) Flow {
	return Flow{newFlow(wtLimits{ours[0], ours[1], ours[2]}, wtLimits{theirs[0], theirs[1], theirs[2]}, told)}
}

// Limit is a capsule of flow control.
type Limit struct {
	Type   uint64
	Number uint64
}

// Told takes out what is to be told, in the order of the types.
func (f Flow) Told() (all []Limit) {
	for b := f.next(); b != nil; b = f.next() {
		_ = readCapsules(bytes.NewReader(b), wtCapsules{limit: func(t http3.CapsuleType, n uint64) error {
			all = append(all, Limit{uint64(t), n})
			return nil
		}})
	}
	slices.SortFunc(all, func(a, b Limit) int { return cmp.Compare(a.Type, b.Type) })
	return all
}

func (f Flow) Reserve(n int) bool            { return f.reserve(n) }
func (f Flow) Refund(n int)                  { f.refund(n) }
func (f Flow) Blocked() <-chan struct{}      { return f.blocked() }
func (f Flow) Grant(n int) int               { return f.grant(n) }
func (f Flow) Allow(l Limit) error           { return f.allow(http3.CapsuleType(l.Type), l.Number) }
func (f Flow) Open(uni bool) <-chan struct{} { return f.open(kind(uni)) }
func (f Flow) Unopen(uni bool)               { f.unopen(kind(uni)) }
func (f Flow) Accept(uni bool) error         { return f.accept(kind(uni)) }
func (f Flow) Forget(uni bool)               { f.forget(kind(uni)) }
func (f Flow) Come(n uint64) error           { return f.come(n) }
func (f Flow) Use(n uint64)                  { f.use(n) }
func (f Flow) End()                          { f.end() }

func kind(uni bool) wtKind {
	if uni {
		return kindUni
	}
	return kindBidi
}

// ReadFlowCapsules reads a session's capsules with its flow control.
func ReadFlowCapsules(r io.Reader, f Flow) error {
	return readCapsules(r, wtCapsules{drain: func() {}, close: func(wtClose) {}, limit: f.allow})
}

// AppendLimit writes a capsule of flow control.
func AppendLimit(b []byte, l Limit) []byte {
	return appendLimit(b, http3.CapsuleType(l.Type), l.Number)
}

// ErrFlowControl is the end of a session whose peer does not keep to its limits.
var ErrFlowControl = errFlowControl

// CreditLeft is how many bytes a session may still send.
func CreditLeft(s *WebTransportSession) uint64 {
	s.flow.mu.Lock()
	defer s.flow.mu.Unlock()
	return s.flow.maxSent - s.flow.sent
}

// HasFlow reports whether both ends of a session have agreed on its flow control.
func HasFlow(s *WebTransportSession) bool { return s.flow != nil }

// Intake counts what comes on a stream with a header of two bytes.
type Intake struct{ *wtIntake }

// NewIntake makes one.
func NewIntake(f Flow, violate func(error)) Intake {
	return Intake{&wtIntake{flow: f.wtFlow, head: 2, violate: violate}}
}

func (i Intake) Took(n int)   { i.took(n) }
func (i Intake) Size(n int64) { i.size(n) }
func (i Intake) GiveUp()      { i.giveUp() }

// Deadline is a deadline that can be waited for.
type Deadline struct{ *wtDeadline }

// NewDeadline makes one.
func NewDeadline() Deadline { return Deadline{new(wtDeadline)} }

func (d Deadline) Set(t time.Time)                                    { d.set(t) }
func (d Deadline) Wait(c <-chan struct{}, life context.Context) error { return d.wait(c, life) }

// TellingSession is a session without a connection, with the flow control of a window of 1 byte. While it is held nobody
// writes on its control stream.
type TellingSession struct {
	*WebTransportSession
	tasks *sync.WaitGroup
}

// NewTellingSession makes one.
func NewTellingSession(control wtControl) TellingSession {
	var tasks sync.WaitGroup
	one := wtLimits{1, 1, 1}
	return TellingSession{newSession(newWTConn(nil, 1, time.Second, &tasks, true, one), control, one), &tasks}
}

// Hold and Release stand around a write.
func (s TellingSession) Hold()    { s.writing <- struct{}{} }
func (s TellingSession) Release() { <-s.writing }

// Use makes it tell that a byte was read.
func (s TellingSession) Use() { s.flow.use(1) }

// Told waits until nobody tells any more.
func (s TellingSession) Told() { s.tasks.Wait() }

// HoldConn keeps its connection from noting an end until release is called.
func (s TellingSession) HoldConn() (release func()) {
	s.wt.mu.Lock()
	return s.wt.mu.Unlock
}

// Ended reports whether its end has begun.
func (s TellingSession) Ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended != nil
}

// Add gives it a stream.
func (s TellingSession) Add() error { return s.add(4, new(WebTransportStream)) }

// EndLocally ends it as the end of its connection does.
func (s TellingSession) EndLocally() { s.end(net.ErrClosed) }
