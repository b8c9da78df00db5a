// Package commtest is the proof that a provider keeps the client protocol: the conformance suite
// that every provider passes, ours and a third party's, and what a provider's own tests need.
//
//	func TestProvider(t *testing.T) {
//		commtest.Run(t, func(t *testing.T) commtest.Setup {
//			return commtest.Setup{
//				Provider: ws.New(),
//				Dialer:   func(e commtest.Endpoint) comm.Dialer { return ws.Dialer(e.URL("ws", "/ws"), ...) },
//			}
//		})
//	}
//
// Run drives one provider through every promise of PROTOCOL.md, in memory under fake time and on
// real loopback sockets, in cleartext, TLS and mTLS. RunModel cuts connections at random bytes,
// lets each client come back over any of several protocols, and holds what it received against the
// log. Vectors are the frames of PROTOCOL.md as data. NewHost makes a comm.Host for unit tests, and
// Pipe is a provider without any framing of its own, for tests of what stands above the carriers.
package commtest
