package sse

// AcceptsStream is acceptsStream.
var AcceptsStream = acceptsStream
