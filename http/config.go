package commhttp

import (
	"net/netip"
	"time"

	"github.com/anasamu/comm/internal/conf"
)

// ByteSize is a number of bytes; configuration may write it as "4MiB".
type ByteSize = conf.ByteSize

// Config is what a file or the environment can set; options write into the same
// struct. Sections that are pointers are off while nil. See [DefaultConfig].
type Config struct {
	// Host and Port are the listener's; an IPv6 address is a Host without brackets. An
	// empty host and port 0 share the manager's address. NewHandler, which does not
	// listen, has no use for them.
	Host string `json:"host" format:"host"`
	Port int    `json:"port" min:"0" max:"65535"`

	// ReadTimeout and WriteTimeout are the deadlines of [Deadlines]: on each request
	// that is not a stream, never on the listener. 0 is none. Default 30 s.
	ReadTimeout  time.Duration `json:"read_timeout" min:"0s"`
	WriteTimeout time.Duration `json:"write_timeout" min:"0s"`
	// IdleTimeout is how long a connection is kept between requests. It is the
	// listener's, and NewHandler has no use for it. Default 120 s.
	IdleTimeout time.Duration `json:"idle_timeout" min:"0s"`
	// RequestTimeout is how long a handler may take; see [Timeout]. It must be shorter
	// than WriteTimeout. 0, the default, is no bound.
	RequestTimeout time.Duration `json:"request_timeout" min:"0s"`

	// MaxBodySize bounds request bodies; see [BodyLimit]. Default 4 MiB.
	MaxBodySize ByteSize `json:"max_body_size" min:"1"`

	// TrustedProxies are the peers whose X-Forwarded-For and X-Request-Id are believed. Default none. In a
	// manager, [comm.WithTrustedProxies] says it of X-Forwarded-For for every protocol; this adds X-Request-Id.
	TrustedProxies []netip.Prefix `json:"trusted_proxies"`

	// AccessLog turns the access log on, and AccessLogHeaders adds request headers to
	// it; see [AccessLog]. Default off.
	AccessLog        bool     `json:"access_log"`
	AccessLogHeaders []string `json:"access_log_headers"`

	// CORS, Compression and SecurityHeaders are the policies of the middleware.
	// Default off.
	CORS            *CORSPolicy     `json:"cors"`
	Compression     *Compression    `json:"compression"`
	SecurityHeaders *SecurityPolicy `json:"security_headers"`

	// CrossOriginProtection is [CrossOrigin], with the origins of CORS and
	// TrustedOrigins trusted. Default on.
	CrossOriginProtection bool     `json:"cross_origin_protection"`
	TrustedOrigins        []string `json:"trusted_origins"`
}

// DefaultConfig returns the configuration of a service that sets nothing.
func DefaultConfig() Config {
	return Config{
		ReadTimeout:           30 * time.Second,
		WriteTimeout:          30 * time.Second,
		IdleTimeout:           120 * time.Second,
		MaxBodySize:           4 << 20,
		CrossOriginProtection: true,
	}
}
