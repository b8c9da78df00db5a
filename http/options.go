package commhttp

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Option is a setting or a route of [NewHandler]. An option that is wrong is reported
// together with all others that are.
type Option interface{ apply(*settings) error }

type option func(*settings) error

func (f option) apply(s *settings) error { return f(s) }

// set is an option that cannot be wrong by itself; Config's bounds are checked later.
func set(f func(*settings)) Option {
	return option(func(s *settings) error { f(s); return nil })
}

// Handle routes a pattern, in the syntax of [http.ServeMux], to h.
func Handle(pattern string, h http.Handler) Option {
	return set(func(s *settings) { s.routes = append(s.routes, registration{pattern: pattern, handler: h}) })
}

// HandleFunc is [Handle] for a func.
func HandleFunc(pattern string, f func(http.ResponseWriter, *http.Request)) Option {
	return Handle(pattern, http.HandlerFunc(f))
}

// Static serves the files of fsys under a pattern that ends in a slash, such as
// "/assets/", or in a wildcard for the rest, such as "/assets/{path...}"; see [Files].
func Static(pattern string, fsys fs.FS, opts ...FileOption) Option {
	return option(func(s *settings) error {
		pattern, wildcard, err := restOf(pattern)
		if err != nil {
			return err
		}
		f, err := newFiles(fsys, opts)
		if err != nil {
			return fmt.Errorf("commhttp: route %q: %w", pattern, err)
		}
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, r.PathValue(wildcard)) })
		s.routes = append(s.routes, registration{pattern: pattern, handler: h, static: true})
		return nil
	})
}

// restOf returns the pattern with the name of its last wildcard.
func restOf(pattern string) (full, wildcard string, err error) {
	if strings.HasSuffix(pattern, "/") {
		return pattern + "{path...}", "path", nil
	}
	i := strings.LastIndex(pattern, "/{")
	name, ok := strings.CutSuffix(pattern[i+1:], "...}")
	if i < 0 || !ok {
		return "", "", &PatternError{Pattern: pattern, Reason: `the pattern of files must end in "/" or in "/{name...}"`}
	}
	return pattern, name[1:], nil
}

// WithMiddleware adds middleware around the routes, the first outermost, inside of
// everything that is built in.
func WithMiddleware(middleware ...Middleware) Option {
	return option(func(s *settings) error {
		if slices.ContainsFunc(middleware, func(m Middleware) bool { return m == nil }) {
			return errors.New("commhttp: WithMiddleware: a middleware is nil")
		}
		s.middleware = append(s.middleware, middleware...)
		return nil
	})
}

// WithObserver has f called after each request; see [Observe].
func WithObserver(f func(r *http.Request, result Result)) Option {
	return option(func(s *settings) error {
		if f == nil {
			return errors.New("commhttp: WithObserver: the func is nil")
		}
		s.observers = append(s.observers, f)
		return nil
	})
}

// WithLogger is where panics and the access log go. Nil, the default, is the manager's logger ([comm.WithLogger]), and for
// NewHandler [slog.Default] at the time of the record.
func WithLogger(logger *slog.Logger) Option {
	return set(func(s *settings) { s.logger = logger })
}

// WithAddr gives the provider an address of its own, host:port, where an empty host is every interface and port 0
// a free one. The default is the manager's address. NewHandler, which does not listen, has no use for it.
func WithAddr(addr string) Option {
	return option(func(s *settings) error {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return fmt.Errorf("commhttp: address: %w", err)
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return fmt.Errorf("commhttp: address %q: the port must be 0 to 65535", addr)
		}
		s.addr, s.Host, s.Port = addr, host, int(n)
		return nil
	})
}

// WithReadTimeout sets Config.ReadTimeout.
func WithReadTimeout(d time.Duration) Option { return set(func(s *settings) { s.ReadTimeout = d }) }

// WithWriteTimeout sets Config.WriteTimeout.
func WithWriteTimeout(d time.Duration) Option { return set(func(s *settings) { s.WriteTimeout = d }) }

// WithIdleTimeout sets Config.IdleTimeout.
func WithIdleTimeout(d time.Duration) Option { return set(func(s *settings) { s.IdleTimeout = d }) }

// WithRequestTimeout sets Config.RequestTimeout.
func WithRequestTimeout(d time.Duration) Option {
	return set(func(s *settings) { s.RequestTimeout = d })
}

// WithBodyLimit sets Config.MaxBodySize, in bytes.
func WithBodyLimit(bytes int64) Option {
	return set(func(s *settings) { s.MaxBodySize = ByteSize(bytes) })
}

// WithTrustedProxies sets Config.TrustedProxies. The proxies of a gateway are [comm.WithTrustedProxies], whose limits
// hold for every protocol; this option is for NewHandler, and beside it for the proxies' X-Request-Id.
func WithTrustedProxies(prefixes ...netip.Prefix) Option {
	return set(func(s *settings) { s.TrustedProxies = slices.Clone(prefixes) })
}

// WithAccessLog turns the access log on, with these request headers in it.
func WithAccessLog(headers ...string) Option {
	return set(func(s *settings) { s.AccessLog, s.AccessLogHeaders = true, slices.Clone(headers) })
}

// WithCORS lets pages of these origins use the answers, by the defaults of
// [CORSPolicy].
func WithCORS(origins ...string) Option {
	return option(func(s *settings) error {
		if len(origins) == 0 {
			return errors.New(`commhttp: WithCORS: names no origin; "*" is all`)
		}
		s.CORS = &CORSPolicy{Origins: slices.Clone(origins)}
		return nil
	})
}

// WithCORSPolicy is [WithCORS] with everything said.
func WithCORSPolicy(p CORSPolicy) Option { return set(func(s *settings) { s.CORS = &p }) }

// WithCompression compresses responses by the defaults of [Compression].
func WithCompression() Option { return WithCompressionPolicy(Compression{}) }

// WithCompressionPolicy is [WithCompression] with everything said.
func WithCompressionPolicy(c Compression) Option {
	return set(func(s *settings) { s.Compression = &c })
}

// WithSecurityHeaders sets the headers of p on every response; the zero value is the
// strict defaults.
func WithSecurityHeaders(p SecurityPolicy) Option {
	return set(func(s *settings) { s.SecurityHeaders = &p })
}

// WithTrustedOrigins adds origins whose pages may send requests that change something;
// see [CrossOrigin]. Those of CORS are trusted already.
func WithTrustedOrigins(origins ...string) Option {
	return set(func(s *settings) { s.TrustedOrigins = append(slices.Clone(s.TrustedOrigins), origins...) })
}

// WithCrossOriginBypass lets pages of every origin send requests that match a pattern,
// in the syntax of ServeMux: for a form that another site is meant to post, and that
// does not go by cookies.
func WithCrossOriginBypass(patterns ...string) Option {
	return set(func(s *settings) { s.bypass = append(s.bypass, patterns...) })
}

// WithoutCrossOriginProtection turns [CrossOrigin] off, for services that browsers give
// no credentials to.
func WithoutCrossOriginProtection() Option {
	return set(func(s *settings) { s.CrossOriginProtection = false })
}
