package commhttp

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// maxOrigin is longer than any origin a browser sends: a scheme, a name of 253 bytes
// and a port.
const maxOrigin = 300

// origins is a set of web origins (RFC 6454). Lookups do not allocate.
type origins struct {
	any       bool
	exact     []string // sorted
	wildcards []wildcard
}

// wildcard stands for all subdomains of a host, however deep, but not the host.
type wildcard struct {
	scheme string // "https://"
	suffix string // ".example.com:8443"
}

func parseOrigins(list []string) (origins, error) {
	var set origins
	var errs []error
	for _, o := range list {
		if o == "*" {
			set.any = true
			continue
		}
		scheme, host, ok := strings.Cut(o, "://*.")
		if !ok {
			if err := checkOrigin(o); err != nil {
				errs = append(errs, err)
				continue
			}
			set.exact = append(set.exact, o)
			continue
		}
		if err := checkWildcard(o, scheme, host); err != nil {
			errs = append(errs, err)
			continue
		}
		set.wildcards = append(set.wildcards, wildcard{scheme + "://", "." + host})
	}
	if set.any && len(list) > 1 {
		errs = append(errs, errors.New(`commhttp: origin "*" beside others: it allows all of them`))
	}
	slices.Sort(set.exact)
	set.exact = slices.Compact(set.exact)
	return set, errors.Join(errs...)
}

func checkWildcard(o, scheme, host string) error {
	if err := checkOrigin(scheme + "://" + host); err != nil {
		return fmt.Errorf("commhttp: origin %q: %w", o, err)
	}
	name, _, _ := strings.Cut(host, ":")
	if _, err := netip.ParseAddr(name); err == nil || !strings.Contains(name, ".") {
		return fmt.Errorf("commhttp: origin %q: needs a domain of at least two labels after the *", o)
	}
	return nil
}

// checkOrigin refuses what no browser would send, which would never match.
func checkOrigin(o string) error {
	u, err := url.Parse(o)
	switch {
	case err != nil:
		return fmt.Errorf("commhttp: origin %q: %w", o, err)
	case u.Scheme == "" || u.Host == "" || u.Hostname() == "" || strings.Contains(o, "*"):
		return fmt.Errorf(`commhttp: origin %q: must be "*", or a scheme and a host like "https://example.com" or "https://*.example.com"`, o)
	case u.User != nil || o != u.Scheme+"://"+u.Host:
		return fmt.Errorf("commhttp: origin %q: must end after the host and port", o)
	case o != strings.ToLower(o):
		return fmt.Errorf("commhttp: origin %q: browsers send it in lower case, %q", o, strings.ToLower(o))
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80", strings.HasSuffix(o, ":"):
		return fmt.Errorf("commhttp: origin %q: browsers leave out the default port", o)
	case len(o) > maxOrigin:
		return fmt.Errorf("commhttp: origin %.32q...: longer than %d bytes", o, maxOrigin)
	}
	return nil
}

// has reports whether o is named in the set, by itself or by a wildcard.
func (set *origins) has(o string) bool {
	if o == "" || len(o) > maxOrigin {
		return false
	}
	if _, ok := slices.BinarySearch(set.exact, o); ok {
		return true
	}
	return slices.ContainsFunc(set.wildcards, func(w wildcard) bool { return w.matches(o) })
}

func (w wildcard) matches(o string) bool {
	rest, ok := strings.CutPrefix(o, w.scheme)
	if !ok {
		return false
	}
	sub, ok := strings.CutSuffix(rest, w.suffix)
	return ok && isHostname(sub)
}

// isHostname reports whether s is labels of letters, digits, "-" and "_" with single
// dots between: nothing that could end a host name before the suffix does.
func isHostname(s string) bool {
	dot := true
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			if dot {
				return false
			}
			dot = true
			continue
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
		dot = false
	}
	return !dot
}
