package ws

import (
	"fmt"
	"log/slog"
	"time"
)

// Option is a setting that Accept, Dial, NewConn and New all take.
type Option interface {
	AcceptOption
	DialOption
	ConnOption
	ProviderOption
}

// AcceptOption is a setting of the server's handshake or its connections.
type AcceptOption interface{ applyAccept(*acceptConfig) error }

// DialOption is a setting of the client's handshake or its connection.
type DialOption interface{ applyDial(*dialConfig) error }

// ConnOption is a setting of a connection whose handshake was made elsewhere.
type ConnOption interface{ applyConn(*settings) error }

// Defaults of the settings.
const (
	DefaultReadLimit        = 1 << 20
	DefaultHeartbeat        = 30 * time.Second
	DefaultHeartbeatWait    = 15 * time.Second
	DefaultWriteTimeout     = 30 * time.Second
	DefaultCloseTimeout     = 5 * time.Second
	DefaultHandshakeTimeout = 15 * time.Second
)

const (
	rawBuffer  = 32 << 10 // lent while bytes are at hand, so it may be large
	heldBuffer = 4 << 10  // held while waiting where the carrier leaves no choice
	lingerTime = time.Second
)

// settings are what connections share; they are never written to after their
// options are applied.
type settings struct {
	readLimit    int64 // -1: none
	bufferSize   int   // 0: by carrier
	beat, wait   time.Duration
	writeTimeout time.Duration
	closeTimeout time.Duration
	compression  *Compression // nil: off
	logger       *slog.Logger
	portable     bool // take no direct path to the socket
}

func defaults() settings {
	return settings{
		readLimit:    DefaultReadLimit,
		beat:         DefaultHeartbeat,
		wait:         DefaultHeartbeatWait,
		writeTimeout: DefaultWriteTimeout,
		closeTimeout: DefaultCloseTimeout,
		logger:       slog.Default(),
	}
}

// shared is an option of all three kinds.
type shared func(*settings) error

func (f shared) applyAccept(c *acceptConfig) error { return f(&c.settings) }
func (f shared) applyDial(c *dialConfig) error     { return f(&c.settings) }
func (f shared) applyConn(s *settings) error       { return f(s) }

// refuse names a refused value and what is allowed.
func refuse(option string, got any, want string) error {
	return fmt.Errorf("ws: %s: got %v, want %s", option, got, want)
}

// WithReadLimit bounds a received message, after decompression, to n bytes; a
// longer one closes the connection with StatusTooBig. Default
// DefaultReadLimit (1 MiB). -1 is no limit.
func WithReadLimit(n int64) Option {
	return shared(func(s *settings) error {
		if n == 0 || n < -1 {
			return refuse("WithReadLimit", n, "1 or more, or -1 for no limit")
		}
		s.readLimit = n
		return nil
	})
}

// WithBufferSize sets the size in bytes, rounded up to a power of two, of the
// pooled buffer that one read uses. Default 32 KiB over TCP and unix sockets,
// where it is lent only while bytes are at hand, and 4 KiB over carriers that
// hold it while they wait.
func WithBufferSize(n int) Option {
	return shared(func(s *settings) error {
		if n < minBuffer || n > maxBatch {
			return refuse("WithBufferSize", n, fmt.Sprintf("%d to %d", minBuffer, maxBatch))
		}
		s.bufferSize = n
		return nil
	})
}

// WithHeartbeat sends a ping when nothing arrived for interval, and closes the
// connection with ErrHeartbeat when then nothing arrives for wait. Defaults
// DefaultHeartbeat and DefaultHeartbeatWait. The heartbeat lives in the
// waiting read: it is judged only while Read, a message's reader or Serve
// waits for bytes.
func WithHeartbeat(interval, wait time.Duration) Option {
	return shared(func(s *settings) error {
		if interval <= 0 || wait <= 0 {
			return refuse("WithHeartbeat", [2]time.Duration{interval, wait}, "two positive durations; see WithoutHeartbeat")
		}
		s.beat, s.wait = interval, wait
		return nil
	})
}

// WithoutHeartbeat sends no pings and lets a silent peer stay for ever.
func WithoutHeartbeat() Option {
	return shared(func(s *settings) error {
		s.beat, s.wait = 0, 0
		return nil
	})
}

// WithWriteTimeout closes the connection with ErrStalled when the peer takes
// no byte of a write for d. Default DefaultWriteTimeout.
func WithWriteTimeout(d time.Duration) Option {
	return shared(func(s *settings) error {
		if d <= 0 {
			return refuse("WithWriteTimeout", d, "a positive duration")
		}
		s.writeTimeout = d
		return nil
	})
}

// WithCloseTimeout bounds the closing handshake where its context does not
// bound it more tightly. Default DefaultCloseTimeout.
func WithCloseTimeout(d time.Duration) Option {
	return shared(func(s *settings) error {
		if d <= 0 {
			return refuse("WithCloseTimeout", d, "a positive duration")
		}
		s.closeTimeout = d
		return nil
	})
}

// WithLogger sets where Handler reports what it has nobody else to tell: a
// panic in the function it runs. Default slog.Default.
func WithLogger(l *slog.Logger) Option {
	return shared(func(s *settings) error {
		if l == nil {
			return refuse("WithLogger", "nil", "a logger")
		}
		s.logger = l
		return nil
	})
}

// WithPortableIO keeps connections off the direct path to the socket, as
// building with the tag comm_portable does for all. For comparison and tests:
// an idle connection then holds its read buffer.
func WithPortableIO() Option {
	return shared(func(s *settings) error {
		s.portable = true
		return nil
	})
}
