package commhttp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/anasamu/comm/internal/conf"
)

// NewHandler builds the handler of a service: the routes, and around them, from the
// outside in,
//
//	request id, client address     always
//	deadlines                      30 s
//	observers, access log          as set
//	recovery                       always
//	security headers               as set
//	CORS, cross-origin protection  as set; on
//	body limit                     4 MiB
//	compression                    as set
//	request timeout                as set
//	middleware                     in the order given
//
// so that whatever goes wrong inside is answered, with the headers of the outer ones,
// and logged. All options that are wrong are reported together. The handler serves
// any [http.Server], HTTP/1.1 and HTTP/2.
func NewHandler(opts ...Option) (http.Handler, error) {
	s, err := resolve(DefaultConfig(), opts)
	if err != nil {
		return nil, err
	}
	return s.handler()
}

// settings is a Config and what has no place in a file.
type settings struct {
	Config
	routes     []registration
	middleware []Middleware
	observers  []func(*http.Request, Result)
	logger     *slog.Logger
	bypass     []string
	addr       string // as WithAddr gave it; the provider's
}

type registration struct {
	pattern string
	handler http.Handler
	static  bool // serves files
}

// resolve applies options to a configuration, which may come from a file.
func resolve(base Config, opts []Option) (*settings, error) {
	s := &settings{Config: base}
	errs := []error{
		conf.Apply("commhttp", opts, func(o Option) error { return o.apply(s) }),
		conf.Check("commhttp options", &s.Config),
	}
	if s.RequestTimeout > 0 && s.WriteTimeout > 0 && s.RequestTimeout >= s.WriteTimeout {
		errs = append(errs, fmt.Errorf("commhttp: request timeout %v: must be shorter than the write timeout of %v, after which no answer can be sent", s.RequestTimeout, s.WriteTimeout))
	}
	_, err := s.chain()
	errs = append(errs, err)
	_, err = s.mux()
	return s, errors.Join(append(errs, err)...)
}

// handler is the whole: routes in the chain.
func (s *settings) handler() (http.Handler, error) {
	chain, err := s.chain()
	if err != nil {
		return nil, err
	}
	routes, err := s.mux()
	if err != nil {
		return nil, err
	}
	return Chain(routes, chain...), nil
}

func (s *settings) mux() (*Routes, error) {
	rt := new(Routes)
	var errs []error
	for _, r := range s.routes {
		errs = append(errs, rt.Handle(r.pattern, r.handler))
	}
	return rt, errors.Join(errs...)
}

// chain builds the middleware in the order that NewHandler documents. Errors that
// conf.Check finds by itself are left to it.
func (s *settings) chain() ([]Middleware, error) {
	var b chainBuilder
	b.add(RequestID(s.TrustedProxies...), nil)
	b.add(ClientAddress(s.TrustedProxies...), nil)
	// Before all that answers: an earlier request may have left its write deadline.
	if s.ReadTimeout >= 0 && s.WriteTimeout >= 0 {
		b.add(Deadlines(s.ReadTimeout, s.WriteTimeout))
	}
	for _, f := range s.observers {
		b.add(Observe(f), nil)
	}
	if s.AccessLog {
		b.add(AccessLog(s.logger, s.AccessLogHeaders...))
	}
	b.add(Recover(s.logger), nil)
	if s.SecurityHeaders != nil {
		b.add(SecurityHeaders(*s.SecurityHeaders))
	}
	if s.CORS != nil {
		b.add(CORS(*s.CORS))
	}
	if s.CrossOriginProtection {
		b.add(crossOrigin(s.trustedOrigins(), s.bypass))
	}
	if s.MaxBodySize > 0 {
		b.add(BodyLimit(int64(s.MaxBodySize)))
	}
	if s.Compression != nil {
		b.add(Compress(*s.Compression))
	}
	if s.RequestTimeout > 0 {
		b.add(Timeout(s.RequestTimeout))
	}
	b.chain = append(b.chain, s.middleware...)
	return b.chain, errors.Join(b.errs...)
}

// trustedOrigins are those whose pages may change something: all that CORS names, and
// the others given. CORS reports its own mistakes.
func (s *settings) trustedOrigins() []string {
	if s.CORS == nil {
		return s.TrustedOrigins
	}
	if slices.Contains(s.CORS.Origins, "*") {
		return []string{"*"}
	}
	if _, err := parseOrigins(s.CORS.Origins); err != nil {
		return s.TrustedOrigins
	}
	return slices.Concat(s.CORS.Origins, s.TrustedOrigins)
}

type chainBuilder struct {
	chain []Middleware
	errs  []error
}

func (b *chainBuilder) add(m Middleware, err error) {
	b.chain = append(b.chain, m)
	b.errs = append(b.errs, err)
}
