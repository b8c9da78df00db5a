package commhttp

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SecurityPolicy is the headers by which a browser is told to be strict. In each, ""
// is the default and "-" leaves the header out.
type SecurityPolicy struct {
	FrameOptions          string        `json:"frame_options"`             // X-Frame-Options: DENY or SAMEORIGIN; default DENY
	ReferrerPolicy        string        `json:"referrer_policy"`           // default strict-origin-when-cross-origin
	ContentSecurityPolicy string        `json:"content_security_policy"`   // default none
	OpenerPolicy          string        `json:"opener_policy"`             // Cross-Origin-Opener-Policy; default same-origin
	StrictTransport       time.Duration `json:"strict_transport" min:"0s"` // max-age of Strict-Transport-Security, on TLS only; 0 is none
}

// referrerPolicies are those of the Referrer Policy standard, section 3.
var referrerPolicies = []string{
	"no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin",
	"origin-when-cross-origin", "strict-origin-when-cross-origin", "unsafe-url",
}

// SecurityHeaders sets the headers of p, and X-Content-Type-Options: nosniff, on every
// response. Handlers may replace them.
func SecurityHeaders(p SecurityPolicy) (Middleware, error) {
	headers, err := p.headers()
	if err != nil {
		return nil, err
	}
	var strict []string
	if p.StrictTransport > 0 {
		strict = []string{"max-age=" + strconv.FormatInt(int64(p.StrictTransport/time.Second), 10)}
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			for _, header := range headers {
				// Shared, and with no room: an Add by the handler makes a copy.
				h[header.name] = header.value
			}
			if strict != nil && r.TLS != nil {
				h["Strict-Transport-Security"] = strict
			}
			next.ServeHTTP(w, r)
		})
	}, nil
}

type fixedHeader struct {
	name  string
	value []string
}

func (p SecurityPolicy) headers() ([]fixedHeader, error) {
	list := []fixedHeader{{"X-Content-Type-Options", []string{"nosniff"}}}
	add := func(name, value, fallback string) {
		if value == "" {
			value = fallback
		}
		if value != "" && value != "-" {
			list = append(list, fixedHeader{name, []string{value}})
		}
	}
	add("X-Frame-Options", p.FrameOptions, "DENY")
	add("Referrer-Policy", p.ReferrerPolicy, "strict-origin-when-cross-origin")
	add("Content-Security-Policy", p.ContentSecurityPolicy, "")
	add("Cross-Origin-Opener-Policy", p.OpenerPolicy, "same-origin")
	return list, p.check()
}

func (p SecurityPolicy) check() error {
	return errors.Join(
		oneOf("X-Frame-Options", p.FrameOptions, []string{"DENY", "SAMEORIGIN"}),
		oneOf("Referrer-Policy", p.ReferrerPolicy, referrerPolicies),
		oneOf("Cross-Origin-Opener-Policy", p.OpenerPolicy, []string{"same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none"}),
		checkFieldValue("Content-Security-Policy", p.ContentSecurityPolicy),
		checkWholeSeconds("Strict-Transport-Security max-age", p.StrictTransport),
	)
}

func oneOf(name, value string, allowed []string) error {
	if value == "" || value == "-" || slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("commhttp: %s %q: must be one of %s", name, value, strings.Join(allowed, ", "))
}

// checkFieldValue refuses what would not be one header line (RFC 9110 5.5).
func checkFieldValue(name, value string) error {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("commhttp: %s %q: has a control character", name, value)
		}
	}
	return nil
}

func checkWholeSeconds(name string, d time.Duration) error {
	if d < 0 || d%time.Second != 0 {
		return fmt.Errorf("commhttp: %s %v: must be whole seconds, not negative", name, d)
	}
	return nil
}
