package commhttp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/textproto"
	"slices"
)

// maxLogged bounds what a client can write into one attribute of the log.
const maxLogged = 256

// secretHeaders are never logged, whatever is asked for.
var secretHeaders = []string{"Authorization", "Cookie", "Proxy-Authorization", "Set-Cookie"}

// AccessLog writes one record for each request, after its response or when the
// connection that it hijacked is closed: method, path, pattern, status, bytes,
// duration, request_id and client, and the request headers named. The query is never
// logged, and the headers that carry credentials are refused with an error. Values from
// the client are cut at 256 bytes. A nil logger is [slog.Default] at the time of the
// record; the level is Error for a status of 500 or more or an aborted response, else
// Info.
func AccessLog(logger *slog.Logger, headers ...string) (Middleware, error) {
	names, err := loggableHeaders(headers)
	if err != nil {
		return nil, err
	}
	return Observe(func(r *http.Request, res Result) {
		l := logger
		if l == nil {
			l = slog.Default()
		}
		level := slog.LevelInfo
		if res.Status >= 500 || res.Aborted {
			level = slog.LevelError
		}
		if !l.Enabled(r.Context(), level) {
			return
		}
		attrs := appendResult(make([]slog.Attr, 0, 12), r, res)
		for _, name := range names {
			if v := r.Header.Get(name); v != "" {
				attrs = append(attrs, slog.String(name, clip(v)))
			}
		}
		l.LogAttrs(r.Context(), level, "http request", attrs...)
	}), nil
}

func appendResult(attrs []slog.Attr, r *http.Request, res Result) []slog.Attr {
	attrs = append(attrs,
		slog.String("method", clip(r.Method)),
		slog.String("path", clip(r.URL.Path)),
		slog.String("pattern", res.Pattern),
		slog.Int("status", res.Status),
		slog.Int64("bytes", res.Bytes),
		slog.Duration("duration", res.Duration))
	if res.RequestID != "" {
		attrs = append(attrs, slog.String("request_id", res.RequestID))
	}
	if res.Client.IsValid() {
		attrs = append(attrs, slog.String("client", res.Client.String()))
	}
	if res.Hijacked {
		attrs = append(attrs, slog.Bool("hijacked", true))
	}
	if res.Aborted {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	return attrs
}

func loggableHeaders(headers []string) ([]string, error) {
	names := make([]string, 0, len(headers))
	var errs []error
	for _, h := range headers {
		name := textproto.CanonicalMIMEHeaderKey(h)
		switch {
		case !isToken(h):
			errs = append(errs, fmt.Errorf("commhttp: access log: %q is not a header name", h))
		case slices.Contains(secretHeaders, name):
			errs = append(errs, fmt.Errorf("commhttp: access log: header %s carries credentials and is never logged", name))
		default:
			names = append(names, name)
		}
	}
	return names, errors.Join(errs...)
}

func clip(s string) string {
	if len(s) > maxLogged {
		return s[:maxLogged]
	}
	return s
}
