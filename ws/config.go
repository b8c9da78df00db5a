package ws

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/anasamu/comm"
)

// Config is what the section "websocket" of a configuration file, the variables WEBSOCKET_KEY and
// the options of New set.
type Config struct {
	// Path is where clients connect, a ServeMux path. The default is /ws.
	Path string `json:"path"`
	// ReadBufferSize is the size of the pooled buffer that one read uses, rounded up to a power of
	// two. The default is 32 KiB where it is lent only while bytes are at hand, and 4 KiB elsewhere.
	ReadBufferSize comm.ByteSize `json:"read_buffer_size" min:"0" max:"64KiB"`
	// WriteBufferSize is how many bytes of waiting messages one write takes together. The default is 64 KiB.
	WriteBufferSize comm.ByteSize `json:"write_buffer_size" min:"512" max:"64KiB"`
	// CheckOrigin applies the manager's origin policy. The default is true; false lets every page on
	// the web connect with its visitors' cookies.
	CheckOrigin bool `json:"check_origin"`
	// PingPeriod is after how long a silence the client is pinged, 1 s or more. The default is the
	// manager's heartbeat, or 9/10 of PongWait where that is sooner.
	PingPeriod time.Duration `json:"ping_period" min:"0s"`
	// PongWait is after how long a silence the connection is given up, 1 s or more, and at least
	// 100 ms more than PingPeriod. The default is PingPeriod and 15 s.
	PongWait time.Duration `json:"pong_wait" min:"0s"`
	// WriteWait bounds one write. The default is the manager's write timeout.
	WriteWait time.Duration `json:"write_wait" min:"0s"`
	// MaxMessageSize bounds one inbound message after decompression. The default is the manager's.
	MaxMessageSize comm.ByteSize `json:"max_message_size" min:"0"`
	// Compression agrees to permessage-deflate where a client offers it. The default is false.
	Compression bool `json:"compression"`
}

// smallMessage is a limit that is probably a mistake, such as one of 512 bytes.
const smallMessage = 4 << 10

// check holds the settings against each other.
func (p *Provider) check() error {
	c := &p.conf
	var errs []error
	if !strings.HasPrefix(c.Path, "/") || strings.ContainsAny(c.Path, " {}") {
		errs = append(errs, refuse("WithPath", fmt.Sprintf("%q", c.Path), "a path such as /ws"))
	}
	errs = append(errs, c.checkPace())
	if n := c.ReadBufferSize; n > 0 && n < minBuffer {
		errs = append(errs, refuse("read_buffer_size", n, fmt.Sprintf("%d or more", minBuffer)))
	}
	return errors.Join(errs...)
}

const (
	minPeriod = time.Second            // more often is traffic without use
	minAnswer = 100 * time.Millisecond // a pong needs a round trip
)

// checkPace holds PingPeriod and PongWait against each other.
func (c *Config) checkPace() error {
	var errs []error
	if c.PingPeriod > 0 && c.PingPeriod < minPeriod {
		errs = append(errs, refuse("ping_period", c.PingPeriod, fmt.Sprintf("%v or more, or 0 for the manager's heartbeat", minPeriod)))
	}
	if c.PongWait > 0 && c.PongWait < minPeriod {
		errs = append(errs, refuse("pong_wait", c.PongWait, fmt.Sprintf("%v or more, or 0 for ping_period and %v", minPeriod, DefaultHeartbeatWait)))
	}
	if c.PingPeriod > 0 && c.PongWait > 0 && c.PongWait < c.PingPeriod+minAnswer {
		errs = append(errs, refuse("pong_wait", c.PongWait, fmt.Sprintf("at least %v more than ping_period, %v", minAnswer, c.PingPeriod)))
	}
	return errors.Join(errs...)
}

// pace is after how long a silence the client is pinged, and how long it then has to answer.
func (c *Config) pace(heartbeat time.Duration) (period, wait time.Duration) {
	switch {
	case c.PongWait == 0:
		return orElse(c.PingPeriod, heartbeat), DefaultHeartbeatWait
	case c.PingPeriod == 0:
		period = min(heartbeat, c.PongWait/10*9)
	default:
		period = c.PingPeriod
	}
	return period, c.PongWait - period
}

// acceptOptions translates Config, under what shared options say.
func (p *Provider) acceptOptions(h comm.Host) []AcceptOption {
	c, s := &p.conf, h.Settings()
	period, wait := c.pace(s.Heartbeat)
	opts := []AcceptOption{
		WithSubprotocolFunc(chooseProtocol),
		WithHeartbeat(period, wait),
		WithWriteTimeout(orElse(c.WriteWait, s.WriteTimeout)),
		WithReadLimit(int64(orElse(c.MaxMessageSize, comm.ByteSize(s.MaxMessage)))),
		WithLogger(h.Logger()),
		WithAnyOrigin(),
	}
	if c.CheckOrigin {
		opts[len(opts)-1] = WithOriginCheck(h.CheckOrigin)
	}
	if c.ReadBufferSize > 0 {
		opts = append(opts, WithBufferSize(int(c.ReadBufferSize)))
	}
	if c.Compression {
		opts = append(opts, WithCompression(Compression{}))
	}
	return append(opts, p.set...)
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
