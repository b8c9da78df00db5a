package commgrpc

import (
	"sync"

	"google.golang.org/grpc"

	"github.com/anasamu/comm"
)

// many is one frame on its way to many streams. What is this package's of each is done before and behind what is
// gRPC's: that then has the cache to itself and takes less time, and fewer of its writers have nothing to write
// meanwhile and go to sleep.
type many struct {
	message *batch              // the same for all, ready; nil before the first
	streams []grpc.ServerStream // what to send it on; nil where an attempt is over
}

var manies = sync.Pool{New: func() any { return new(many) }}

// TryWriteMany implements comm.DirectWriter.
func (t *transport) TryWriteMany(o comm.Outbound, all []comm.Attempt) {
	m := manies.Get().(*many)
	sent := false
	defer func() {
		if !sent { // a stats handler has panicked: who ends the streams needs their turns
			m.giveUp(all)
		}
	}()
	for i := range all {
		m.streams = append(m.streams, m.begin(o, &all[i]))
	}
	for i, s := range m.streams {
		if s != nil {
			all[i].Err = s.SendMsg(m.message.ready)
		}
	}
	sent = true
	for i, s := range m.streams {
		if s != nil {
			m.finish(&all[i])
		}
	}
	clear(m.streams)
	*m = many{streams: m.streams[:0]}
	manies.Put(m)
}

// begin takes the turn of a stream and returns it. What cannot be sent as to all others is an attempt of its own, and
// over.
func (m *many) begin(o comm.Outbound, a *comm.Attempt) grpc.ServerStream {
	t := a.Transport.(*transport)
	if !t.turn.try() {
		return nil
	}
	if t.shut.Load() || t.unsent.full() || !m.fits(o, t) {
		a.Bytes, a.Err = t.tryAlone(o)
		return nil
	}
	t.unsent.add(m.message.size)
	return t.below
}

// fits reports whether t sends the message that all send, and no mark behind it.
func (m *many) fits(o comm.Outbound, t *transport) bool {
	b, err := t.one(o)
	if err != nil || b.ready == nil || m.message != nil && b != m.message {
		return false
	}
	m.message = b
	return int(t.unsent.since)+b.size < markEvery
}

// finish gives the turn back behind a send.
func (m *many) finish(a *comm.Attempt) {
	t := a.Transport.(*transport)
	t.turn.give()
	if a.Err == nil {
		a.Bytes = m.message.size
		t.signOfLife()
	}
}

// giveUp gives all turns back that have been taken.
func (m *many) giveUp(all []comm.Attempt) {
	for i, s := range m.streams {
		if s != nil {
			all[i].Transport.(*transport).turn.give()
		}
	}
}
