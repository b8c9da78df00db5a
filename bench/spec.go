package main

import "time"

// spec is one run of one row with one subject: all that the server and the
// client process need to know. It travels as JSON in an environment variable.
type spec struct {
	Row      string // the row's name
	Subject  string // the implementation under test
	Scenario string // what the client does, see scenarios
	Carrier  string // stalled: the carrier of the client that stalls, "" for none
	Variant  string // what the subject does besides the scenario's default

	Conns    int  // connections in all
	Groups   int  // groups that they are spread over
	Flight   int  // echo: messages in flight on each connection
	Size     int  // bytes of one payload
	Text     bool // echo: text of several bytes a character, checked to be UTF-8
	TLS      bool
	Deflate  bool
	Messages int     // broadcast: messages to each group in one round
	Rounds   int     // broadcast: rounds
	Rate     float64 // paced: messages a second
	Share    float64 // paced: the share of the best rival's saturation

	Warm    time.Duration
	Measure time.Duration
	Settle  time.Duration // idle: until the server is quiet

	Cert, Key string // PEM, the same for every subject
	Profile   string // file for the server's CPU profile of the measured part
	Procs     int    // GOMAXPROCS of the server and the client

	Stalled  bool  // hold: the clients stop reading, and are sent what their sockets hold; quicflood: one more does not read
	From     int   // hold: connections that other processes hold
	Streams  int   // hold: streams that share one HTTP/2 connection
	Hijack   bool  // hold: event streams are taken over from net/http
	GC       int   // hold: the server's GOGC; 0 is the default
	MemLimit int64 // hold: the server's GOMEMLIMIT, in bytes; 0 is none

	Entry   entry  // filled in by the server
	Control string // address of the server's control endpoint
}

// entry is how a client enters what a server process serves. %d stands for the
// client's group, %s for a payload.
type entry struct {
	Addr  string
	WS    string // request target of the WebSocket
	SSE   string // request target of the event stream, a GET
	GRPC  string // path of the method whose stream a client of a hub takes
	Poll  string // request target of long polling
	Proto string // subprotocol, or ALPN name over QUIC; "" for none
	Hello string // first message on a WebSocket, "" for none
	Say   string // what a client sends that wants a payload sent to its group
}

// metrics is what one run has measured, by name.
type metrics map[string]float64

// outcome is one run, as the client process reports it.
type outcome struct {
	Metrics metrics
	Error   string
}
