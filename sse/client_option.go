package sse

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/anasamu/comm"
)

const defaultConnectTimeout = 30 * time.Second

// ClientOption sets one thing about a [Client].
type ClientOption interface{ applyClient(*clientConfig) error }

type clientOption func(*clientConfig) error

func (o clientOption) applyClient(c *clientConfig) error { return o(c) }

// RequestOption is a [ClientOption] that [Dialer] takes as well.
type RequestOption interface {
	ClientOption
	DialOption
}

func (o clientOption) applyDial(c *dialConfig) error { return o(&c.clientConfig) }

type clientConfig struct {
	// the request
	url         string
	method      string
	body        []byte
	contentType string
	header      http.Header
	edit        func(*http.Request) error
	http        *http.Client

	// its repetition
	backoff     comm.Backoff
	once        bool
	maxAttempts int
	retryStatus []int

	// the stream
	lastID         string
	maxEventSize   int
	connectTimeout time.Duration
	idleTimeout    time.Duration
	onState        func(StateChange)
}

func newClientConfig(rawURL string, opts []ClientOption) (clientConfig, error) {
	c := clientConfig{
		url: rawURL, method: http.MethodGet, header: http.Header{}, http: http.DefaultClient,
		maxEventSize: DefaultMaxEventSize, connectTimeout: defaultConnectTimeout,
	}
	errs := []error{checkURL(rawURL)}
	for _, o := range opts {
		if o == nil {
			errs = append(errs, errors.New("sse: nil ClientOption"))
			continue
		}
		errs = append(errs, o.applyClient(&c))
	}
	return c, errors.Join(errs...)
}

func checkURL(rawURL string) error {
	u, err := url.Parse(rawURL)
	if err != nil {
		return fmt.Errorf("sse: client: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("sse: client: URL %q: http or https with a host is needed", u.Redacted())
	}
	return nil
}

// WithHTTPClient sets the client that makes the requests; the default is http.DefaultClient. Its Timeout
// must be zero, because it would end every stream.
func WithHTTPClient(hc *http.Client) RequestOption {
	return clientOption(func(c *clientConfig) error {
		if hc == nil {
			return errors.New("sse: WithHTTPClient(nil): a client is needed")
		}
		if hc.Timeout != 0 {
			return fmt.Errorf("sse: WithHTTPClient: Timeout is %v, which would end every stream; leave it zero and use WithConnectTimeout and WithIdleTimeout", hc.Timeout)
		}
		c.http = hc
		return nil
	})
}

// WithHeader adds a header to every request. Accept, Cache-Control and Last-Event-ID are the client's own.
func WithHeader(key, value string) RequestOption {
	return clientOption(func(c *clientConfig) error {
		switch k := http.CanonicalHeaderKey(key); k {
		case "":
			return errors.New("sse: WithHeader: the name is empty")
		case "Accept", "Cache-Control", "Last-Event-Id":
			return fmt.Errorf("sse: WithHeader(%q): the client sets it itself", k)
		}
		c.header.Add(key, value)
		return nil
	})
}

// WithRequestFunc calls f with every request before it is sent, for instance to set a fresh token. An
// error of f counts as a failed attempt: the client waits and tries again.
func WithRequestFunc(f func(*http.Request) error) RequestOption {
	return clientOption(func(c *clientConfig) error {
		if f == nil {
			return errors.New("sse: WithRequestFunc(nil): a function is needed")
		}
		c.edit = f
		return nil
	})
}

// WithBody makes the client send body with method, usually POST, at each attempt. The default is a GET without one.
func WithBody(method, contentType string, body []byte) ClientOption {
	return clientOption(func(c *clientConfig) error {
		if method == "" || strings.ContainsAny(method, " \t\r\n") {
			return fmt.Errorf("sse: WithBody: method %q: a token such as POST is needed", method)
		}
		c.method, c.contentType, c.body = method, contentType, slices.Clone(body)
		return nil
	})
}

// WithBackoff sets the waits between attempts. The zero Backoff, which is the default, waits up to 500 ms at
// first and up to 30 s at most.
func WithBackoff(b comm.Backoff) ClientOption {
	return clientOption(func(c *clientConfig) error {
		if b.Base < 0 || b.Max < 0 || b.StableAfter < 0 {
			return fmt.Errorf("sse: WithBackoff(%+v): durations must be zero or positive", b)
		}
		c.backoff = b
		return nil
	})
}

// WithoutReconnect makes the client connect once: Run returns nil at a clean end of the stream and the
// error of any other.
func WithoutReconnect() ClientOption {
	return clientOption(func(c *clientConfig) error { c.once = true; return nil })
}

// WithMaxAttempts gives up with [ErrGaveUp] after n attempts in a row that did not open a stream.
// The default, zero, never gives up.
func WithMaxAttempts(n int) ClientOption {
	return clientOption(func(c *clientConfig) error {
		if n < 0 {
			return fmt.Errorf("sse: WithMaxAttempts(%d): zero or more is allowed", n)
		}
		c.maxAttempts = n
		return nil
	})
}

// WithRetryStatus makes the client try again after these statuses, honouring Retry-After; without an
// argument 408, 425, 429, 500, 502, 503 and 504. The default follows the standard (WHATWG HTML, 9.2.3):
// every status but 200 ends the client for good, as in browsers.
func WithRetryStatus(codes ...int) ClientOption {
	return clientOption(func(c *clientConfig) error {
		if len(codes) == 0 {
			codes = []int{408, 425, 429, 500, 502, 503, 504}
		}
		for _, code := range codes {
			if code < 400 || code > 599 {
				return fmt.Errorf("sse: WithRetryStatus(%d): only 400 to 599 can be tried again", code)
			}
		}
		c.retryStatus = slices.Clone(codes)
		return nil
	})
}

// WithLastEventID starts where an earlier client ended.
func WithLastEventID(id string) ClientOption {
	return clientOption(func(c *clientConfig) error { c.lastID = id; return checkName("id", id) })
}

// WithMaxEventSize bounds one event in bytes; a larger one ends the client with a [*SizeError].
// The default is [DefaultMaxEventSize], and 16 MiB with [Dialer].
func WithMaxEventSize(n int) RequestOption {
	return clientOption(func(c *clientConfig) error {
		if n <= 0 {
			return fmt.Errorf("sse: WithMaxEventSize(%d): at least 1 is needed", n)
		}
		c.maxEventSize = n
		return nil
	})
}

// WithConnectTimeout bounds each attempt up to the response headers. The default is 30 s; zero means no bound.
func WithConnectTimeout(d time.Duration) RequestOption {
	return clientDuration("WithConnectTimeout", d, func(c *clientConfig) { c.connectTimeout = d })
}

// WithIdleTimeout takes a stream that sent nothing for d, not even a comment, for dead and reconnects.
// Choose about three of the server's heartbeats. The default, zero, leaves it to TCP, because not every
// server sends heartbeats.
func WithIdleTimeout(d time.Duration) RequestOption {
	return clientDuration("WithIdleTimeout", d, func(c *clientConfig) { c.idleTimeout = d })
}

// WithOnState calls f at each change of state, on the goroutine of Run; it must not block for long.
func WithOnState(f func(StateChange)) ClientOption {
	return clientOption(func(c *clientConfig) error {
		if f == nil {
			return errors.New("sse: WithOnState(nil): a function is needed")
		}
		c.onState = f
		return nil
	})
}

func clientDuration(name string, d time.Duration, set func(*clientConfig)) RequestOption {
	return clientOption(func(c *clientConfig) error {
		if d < 0 {
			return fmt.Errorf("sse: %s(%v): zero or a positive duration is allowed", name, d)
		}
		set(c)
		return nil
	})
}
