package sse

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

const (
	defaultWriteTimeout = 10 * time.Second
	defaultHeartbeat    = 15 * time.Second
)

// AcceptOption sets one thing about the streams of [Accept], [Handler] and [NewAcceptor].
type AcceptOption interface{ applyAccept(*acceptConfig) error }

type acceptOption func(*acceptConfig) error

func (o acceptOption) applyAccept(c *acceptConfig) error { return o(c) }

// StreamOption is an [AcceptOption] that [New] takes as well.
type StreamOption interface {
	AcceptOption
	ProviderOption
}

// streamOption is checked for Accept and says what it means for the provider's Config.
type streamOption struct {
	acceptOption
	provide func(*Config) error
}

func (o streamOption) applyProvider(p *Provider) error {
	if err := o.acceptOption(new(acceptConfig)); err != nil {
		return err
	}
	return o.provide(&p.conf)
}

type acceptConfig struct {
	methods      []string
	writeTimeout time.Duration
	heartbeat    time.Duration
	lifetime     time.Duration
	retry        time.Duration
	hijack       bool
	bare         bool // a hijacked stream's context holds nothing of the request, which so can go
	onEnd        func(*Stream, error)
	logger       *slog.Logger
}

func newAcceptConfig(opts []AcceptOption) (acceptConfig, error) {
	c := acceptConfig{methods: []string{"GET"}, writeTimeout: defaultWriteTimeout, heartbeat: defaultHeartbeat}
	var errs []error
	for _, o := range opts {
		if o == nil {
			errs = append(errs, errors.New("sse: nil AcceptOption"))
			continue
		}
		errs = append(errs, o.applyAccept(&c))
	}
	return c, errors.Join(errs...)
}

// WithMethods says which request methods may open a stream. The default is GET, the only one that
// browsers use. With another method the handler must read the body before it accepts.
func WithMethods(methods ...string) AcceptOption {
	return acceptOption(func(c *acceptConfig) error {
		if len(methods) == 0 || slices.Contains(methods, "") {
			return fmt.Errorf("sse: WithMethods(%q): at least one method, none of them empty, is needed", methods)
		}
		c.methods = slices.Clone(methods)
		return nil
	})
}

// WithWriteTimeout bounds each write and its flush; a client that does not take the bytes in time loses
// its stream. The default is 10 s. Zero means no bound: a stalled client then holds its writer for as
// long as TCP does, and response writers without deadlines, such as httptest.ResponseRecorder, are accepted.
func WithWriteTimeout(d time.Duration) AcceptOption {
	return acceptDuration("WithWriteTimeout", d, func(c *acceptConfig) { c.writeTimeout = d })
}

// WithHeartbeat sends a comment whenever nothing else was sent for d, which keeps proxies from closing
// the connection and finds clients that vanished. The default is 15 s, and that of a provider the
// manager's heartbeat. Zero means no heartbeat; a provider always has one and refuses it.
func WithHeartbeat(d time.Duration) StreamOption {
	return streamOption{
		acceptDuration("WithHeartbeat", d, func(c *acceptConfig) { c.heartbeat = d }),
		func(c *Config) error {
			if d == 0 {
				return errors.New("sse: WithHeartbeat(0s): a provider needs one; more than zero is allowed")
			}
			c.HeartbeatInterval = d
			return nil
		},
	}
}

// WithLifetime ends each stream after a time drawn evenly from 80 to 100 % of d, so that clients
// reconnect spread out, with fresh credentials and to the least loaded server. The default, zero, means no limit.
func WithLifetime(d time.Duration) AcceptOption {
	return acceptDuration("WithLifetime", d, func(c *acceptConfig) { c.lifetime = d })
}

// WithRetry tells the client at the start of the stream how long to wait before it reconnects.
// The default, zero, leaves that to the client.
func WithRetry(d time.Duration) StreamOption {
	return streamOption{
		acceptDuration("WithRetry", d, func(c *acceptConfig) { c.retry = d }),
		func(c *Config) error { c.Retry = d; return nil },
	}
}

// WithHijack takes the connection over from net/http on HTTP/1.1, so that an idle stream costs about
// 2 KB instead of 25: the handler returns at once and both of net/http's buffers are dropped. In cleartext on Linux
// it holds no goroutine while it waits. See
// [Stream.Hijacked] for what changes for the handler. Middleware around the handler sees it return
// early; use [WithOnEnd] for the access log. http.Server.Shutdown does not know hijacked connections.
// Requests over HTTP/2, and writers that cannot be hijacked, are served as without this option.
func WithHijack() StreamOption {
	return streamOption{
		func(c *acceptConfig) error { c.hijack = true; return nil },
		func(c *Config) error { c.Hijack = true; return nil },
	}
}

// WithOnEnd calls f exactly once when a stream has ended and nothing more will be written, with the
// cause of the end (see [Stream.Err]). It runs on the goroutine that ended the stream with Close, or, for
// a hijacked one, on the stream's own; it must not block for long.
func WithOnEnd(f func(s *Stream, cause error)) AcceptOption {
	return acceptOption(func(c *acceptConfig) error {
		if f == nil {
			return errors.New("sse: WithOnEnd(nil): a function is needed")
		}
		c.onEnd = f
		return nil
	})
}

// WithLogger says where a panic of a [Handler] function on a hijacked stream is logged.
// The default is slog.Default().
func WithLogger(l *slog.Logger) AcceptOption {
	return acceptOption(func(c *acceptConfig) error {
		if l == nil {
			return errors.New("sse: WithLogger(nil): a logger is needed")
		}
		c.logger = l
		return nil
	})
}

func acceptDuration(name string, d time.Duration, set func(*acceptConfig)) acceptOption {
	return func(c *acceptConfig) error {
		if d < 0 {
			return fmt.Errorf("sse: %s(%v): zero or a positive duration is allowed", name, d)
		}
		set(c)
		return nil
	}
}
