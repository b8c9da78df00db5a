package graphql

import (
	"embed"
	"errors"
	"io/fs"
	"net/http"
	"strings"
)

//go:embed playgroundpage
var playgroundFiles embed.FS

// WithEnablePlayground serves a page from which operations can be tried, below the provider's path at
// playground/, and sends browsers that open the path there. The page loads nothing from elsewhere. The
// default is off.
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
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// playgroundHandler serves the page below prefix.
func (p *Provider) playgroundHandler(prefix string) (http.Handler, error) {
	files := p.playground
	if files == nil {
		var err error
		if files, err = fs.Sub(playgroundFiles, "playgroundpage"); err != nil {
			return nil, err
		}
	}
	serve := http.StripPrefix(prefix, http.FileServerFS(files))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		serve.ServeHTTP(w, r)
	}), nil
}

// wantsPage reports whether a browser's address bar asks, and not a client of the API.
func wantsPage(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.RawQuery == "" && strings.Contains(r.Header.Get("Accept"), "text/html")
}
