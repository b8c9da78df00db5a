package commhttp

import (
	"net/http"

	"github.com/anasamu/comm"
)

// What Negotiate answers.
const (
	Identity = int(codingIdentity)
	Either   = int(codingEither)
	GzipOnly = int(codingGzip)
)

func Negotiate(accept ...string) int { return int(negotiate(accept)) }

func ValidRequestID(id string) bool { return validRequestID(id) }

func Servable(name string) bool { return servable(name) }

// OriginAllowed parses the list and looks o up.
func OriginAllowed(list []string, o string) (bool, error) {
	set, err := parseOrigins(list)
	return set.any || set.has(o), err
}

// CORSHeadersAllowed is the check of a preflight's header list.
func CORSHeadersAllowed(allowed, lines []string) (bool, error) {
	c, err := newCORS(CORSPolicy{Headers: allowed})
	if err != nil {
		return false, err
	}
	return c.allowsHeaders(lines), nil
}

// Compressing says how many gzip writers a handler made by the returned func has out.
func Compressing(c Compression) (wrap Middleware, active func() int64) {
	cc := newCompressor(c)
	wrap = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			x, w, r := enter(w, r)
			x.enc = cc.encoder(r)
			defer func() { x.enc.finish(x, true) }()
			next.ServeHTTP(w, r)
		})
	}
	return wrap, cc.active.Load
}

// What the admin API makes of statistics, for tests.
var (
	AdminTotals = func(s comm.Stats) any { return newAdminTotals(s) }
	AdminTypes  = func(s comm.Stats) any { return newAdminTypes(s.Types) }
	AdminCalls  = func(s comm.Stats) any { return newAdminCalls(s.Calls) }
	AdminConn   = func(s comm.ConnStats) any { return adminConnStats(s) }
)

// EndWith is endWith.
var EndWith = endWith
