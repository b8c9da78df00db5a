package graphql_test

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/anasamu/comm/graphql"
)

// maxPage bounds what the playground's page is in all, in bytes.
const maxPage = 40 << 10

// pageFiles are the files of the page and what their Content-Type begins with.
func pageFiles(t *testing.T) map[string]string {
	t.Helper()
	media := map[string]string{"html": "text/html", "css": "text/css", "js": "text/javascript"}
	files := map[string]string{"endpoint.js": media["js"]}
	list, err := fs.ReadDir(os.DirFS("playgroundpage"), ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		_, ext, _ := strings.Cut(f.Name(), ".")
		files[f.Name()] = media[ext]
	}
	delete(files, "index.html")
	files[""] = media["html"]
	return files
}

func TestPlaygroundPage(t *testing.T) {
	t.Parallel()
	g := startGateway(t, []graphql.Option{graphql.WithEnablePlayground(true)})
	sent := 0
	for name, media := range pageFiles(t) {
		r := g.do("GET", g.url+"/playground/"+name, "")
		sent += len(r.body)
		if r.status != 200 || media == "" || !strings.HasPrefix(r.header.Get("Content-Type"), media) {
			t.Errorf("%s: %d, %s", name, r.status, r.header.Get("Content-Type"))
		}
		for header, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"} {
			if got := r.header.Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
		checkPolicy(t, r.header.Get("Content-Security-Policy"), "ws://"+g.host()+" wss://"+g.host())
		for _, outside := range []string{"http://", "https://", `"//`, "<style", " style=", "eval(", "innerHTML", "new Function"} {
			if strings.Contains(r.body, outside) {
				t.Errorf("%s has %s", name, outside)
			}
		}
	}
	if sent > maxPage {
		t.Errorf("the page is %d bytes, at most %d are allowed", sent, maxPage)
	}
}

func checkPolicy(t *testing.T, policy, sockets string) {
	t.Helper()
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self' " + sockets, "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !strings.Contains(policy+";", want+";") {
			t.Errorf("%q is not in %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Error(policy)
	}
}

// A Host header cannot write directives.
func TestPlaygroundPolicyHost(t *testing.T) {
	t.Parallel()
	for host, sockets := range map[string]string{
		"api.example:8080":     " ws://api.example:8080 wss://api.example:8080",
		"a;script-src *":       "",
		"x 'unsafe-inline'":    "",
		"[::1]:8080":           "",
		"":                     "",
		"a.example,evil,other": "",
	} {
		want := "connect-src 'self'" + sockets + "; base-uri"
		if got := graphql.PolicyFor(host); !strings.Contains(got, want) {
			t.Errorf("%q: %s", host, got)
		}
	}
}

// The page learns the endpoint as it is seen from the page.
func TestPlaygroundEndpoint(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"/graphql": "../../graphql", "/v1/api": "../../api", "/api/": "..", "/": ".."} {
		g := startGateway(t, []graphql.Option{graphql.WithPath(path), graphql.WithEnablePlayground(true)})
		page := strings.TrimSuffix(strings.TrimSuffix(g.url, "/graphql")+path, "/") + "/playground/"
		if r := g.do("GET", page+"endpoint.js", ""); r.body != "export const endpoint = \""+want+"\";\n" {
			t.Errorf("%s: %v", path, r)
		}
	}
}

// The page answers only where it is enabled, and only where it is.
func TestPlaygroundOnlyWhereEnabled(t *testing.T) {
	t.Parallel()
	off := startGateway(t, nil)
	for name := range pageFiles(t) {
		if r := off.do("GET", off.url+"/playground/"+name, ""); r.status != 404 {
			t.Errorf("%s: %d", name, r.status)
		}
	}
	own := startGateway(t, []graphql.Option{graphql.WithPlaygroundFS(fstest.MapFS{"index.html": {Data: []byte("mine")}})})
	if r := own.do("GET", own.url+"/playground/app.js", ""); r.status != 404 {
		t.Error(r)
	}
	r := own.do("GET", own.url+"/playground/", "")
	checkPolicy(t, r.header.Get("Content-Security-Policy"), "ws://"+own.host()+" wss://"+own.host())
}
