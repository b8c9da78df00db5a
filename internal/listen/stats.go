package listen

import "sync/atomic"

// Stats counts a server's connections. The gauges are named so; the rest only grow.
type Stats struct {
	Accepted          uint64 // connections accepted
	Open              int    // gauge: with net/http now, hijacked ones not included
	Handshaking       int    // gauge: between accept and their handler now
	Claimed           uint64 // taken by claimers
	Hijacked          uint64 // taken over by handlers, as WebSocket does
	HandshakeFailures uint64 // TLS handshakes that failed or took too long
	ClaimFailures     uint64 // closed because a claimer failed or took too long
	Refused           uint64 // closed for one of the bounds
	AcceptErrors      uint64 // failures of the listener itself
}

type counters struct {
	accepted, claimed, hijacked, handshakeFailures, claimFailures, refused, acceptErrors atomic.Uint64

	open atomic.Int64
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats {
	return Stats{
		Accepted:          s.counts.accepted.Load(),
		Open:              int(s.counts.open.Load()),
		Handshaking:       s.gate.len(),
		Claimed:           s.counts.claimed.Load(),
		Hijacked:          s.counts.hijacked.Load(),
		HandshakeFailures: s.counts.handshakeFailures.Load(),
		ClaimFailures:     s.counts.claimFailures.Load(),
		Refused:           s.counts.refused.Load(),
		AcceptErrors:      s.counts.acceptErrors.Load(),
	}
}
