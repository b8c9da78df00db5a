// Package sse speaks Server-Sent Events (WHATWG HTML, section 9.2) on both sides.
//
// Use [Accept] or [Handler] to serve one event stream to one client with nothing else of this module,
// [Client] to follow a stream with reconnection and resume, [Decoder] to read a stream that you opened
// yourself, and [Parser] or [Event.Append] for the bare wire format.
//
// A [Stream] writes in batches: everything given to one Send leaves in one write and one flush, under a
// write deadline of its own, so that a stalled client ends its own stream and delays nobody else.
//
// http.Server.Shutdown waits for streams and never ends them, and does not know hijacked ones at all. A
// program that serves streams without the manager closes them itself, for instance by a context that
// its handlers watch beside the stream's.
package sse
