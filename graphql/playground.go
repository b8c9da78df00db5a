package graphql

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
)

//go:embed playgroundpage
var playgroundFiles embed.FS

// WithEnablePlayground serves a page below the provider's path at playground/, and sends browsers that open the
// path there. It has an editor that completes and marks errors by introspection, a browser of the schema,
// subscriptions over WebSocket and else Server-Sent Events, tabs and a history. It loads nothing from elsewhere,
// under a strict Content-Security-Policy. The default is off.
func WithEnablePlayground(on bool) Option {
	return providerOption(func(p *Provider) error { p.conf.EnablePlayground = on; return nil })
}

// WithPlaygroundFS serves files, with an index.html, in place of the page of WithEnablePlayground, which
// it switches on: GraphiQL for example. They are served under the same strict Content-Security-Policy.
func WithPlaygroundFS(files fs.FS) Option {
	return providerOption(func(p *Provider) error {
		if files == nil {
			return errors.New("graphql: WithPlaygroundFS(nil): files are needed")
		}
		p.conf.EnablePlayground, p.playground = true, files
		return nil
	})
}

// contentPolicy lets a page load and reach nothing but its own origin.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'%s; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// policyFor names the WebSockets of the page's host too: not every browser counts them to 'self'.
func policyFor(host string) string {
	sockets := ""
	if host != "" && !strings.ContainsFunc(host, notOfHost) {
		sockets = " ws://" + host + " wss://" + host
	}
	return fmt.Sprintf(contentPolicy, sockets)
}

// notOfHost refuses what is in no host-source (CSP 3, 2.3.1): an IPv6 address, and what would begin another directive.
func notOfHost(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != ':'
}

// playgroundHandler serves the page below prefix.
func (p *Provider) playgroundHandler(prefix string) (http.Handler, error) {
	files := http.NewServeMux()
	if p.playground != nil {
		files.Handle(prefix, http.StripPrefix(prefix, http.FileServerFS(p.playground)))
	} else {
		own, err := fs.Sub(playgroundFiles, "playgroundpage")
		if err != nil {
			return nil, err
		}
		files.Handle(prefix, http.StripPrefix(prefix, http.FileServerFS(own)))
		files.HandleFunc(prefix+"endpoint.js", p.serveEndpoint)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policyFor(r.Host))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		files.ServeHTTP(w, r)
	}), nil
}

// serveEndpoint tells the page where its schema is served, seen from the page, so that a proxy may serve both
// below a path of its own.
func (p *Provider) serveEndpoint(w http.ResponseWriter, _ *http.Request) {
	relative := ".."
	if last := path.Base(p.conf.Path); !strings.HasSuffix(p.conf.Path, "/") {
		relative = "../../" + (&url.URL{Path: last}).EscapedPath()
	}
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	fmt.Fprintf(w, "export const endpoint = %q;\n", relative)
}

// wantsPage reports whether a browser's address bar asks, and not a client of the API.
func wantsPage(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.RawQuery == "" && strings.Contains(r.Header.Get("Accept"), "text/html")
}
