package graphql_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
	"github.com/anasamu/comm/internal/conf/conftest"
)

// configRow is one key of the section "graphql" and what a client sees of it.
type configRow struct {
	set   map[string]string // as the environment has it
	check func(t *testing.T, g *gateway)
}

// own sets keys, and an address of the provider's own.
func own(pairs ...string) map[string]string {
	set := map[string]string{"host": "127.0.0.1"}
	for i := 0; i < len(pairs); i += 2 {
		set[pairs[i]] = pairs[i+1]
	}
	return set
}

// says asks, and looks for a text in the answer.
func says(query, want string) func(*testing.T, *gateway) {
	return func(t *testing.T, g *gateway) {
		if r := g.ask(query); !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s, want %s", query, r.status, r.body, want)
		}
	}
}

// sends sends a form with files.
func sends(status int, files ...string) func(*testing.T, *gateway) {
	return func(t *testing.T, g *gateway) {
		pairs := []string{"operations", `{"query":"query($f: Upload) { sent(file: $f) }","variables":{"f":null}}`, "map", `{"0":["variables.f"]}`}
		if len(files) > 2 {
			pairs[3] = `{"0":["variables.f"],"1":["variables.f"]}`
		}
		body, media := form(append(pairs, files...)...)
		if r := g.do("POST", g.url, body, "Content-Type", media, "GraphQL-Require-Preflight", "1"); r.status != status {
			t.Errorf("%d %s, want %d", r.status, r.body, status)
		}
	}
}

func configRows(port string) map[string]configRow {
	rows := addressRows(port)
	for _, more := range []map[string]configRow{servedRows(), uploadRows(), limitRows(), subscriberRows()} {
		maps.Copy(rows, more)
	}
	return rows
}

func addressRows(port string) map[string]configRow {
	return map[string]configRow{
		"host": {own("host", "127.0.0.2"), func(t *testing.T, g *gateway) {
			if !strings.HasPrefix(g.host(), "127.0.0.2:") || g.ask(`{ a }`).status != 200 {
				t.Errorf("served on %s", g.host())
			}
		}},
		"port": {own("port", port), func(t *testing.T, g *gateway) {
			if g.host() != "127.0.0.1:"+port || g.ask(`{ a }`).status != 200 {
				t.Errorf("served on %s, want port %s", g.host(), port)
			}
		}},
		"path": {own("path", "/api"), func(t *testing.T, g *gateway) {
			if r := g.ask(`{ a }`); r.status != 404 {
				t.Error(r)
			}
			g.url = strings.TrimSuffix(g.url, "/graphql") + "/api"
			if r := g.ask(`{ a }`); r.status != 200 {
				t.Error(r)
			}
		}},
	}
}

func servedRows() map[string]configRow {
	return map[string]configRow{
		"enable_introspection": {own("enable_introspection", "false"), says(`{ __schema { description } }`, "switched off")},
		"enable_playground": {own("enable_playground", "true"), func(t *testing.T, g *gateway) {
			r := g.do("GET", g.url, "", "Accept", "text/html,*/*;q=0.8")
			if r.status != 303 || r.header.Get("Location") != "/graphql/playground/" {
				t.Error(r)
			}
			r = g.do("GET", g.url+"/playground/", "")
			if r.status != 200 || !strings.Contains(r.body, `src="app.js"`) || !strings.Contains(r.header.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Error(r)
			}
			if r := g.do("GET", g.url+"?query={a}", "", "Accept", "text/html,*/*;q=0.8"); r.status != 200 || r.body != `{"data":{"a":1}}` {
				t.Error(r)
			}
		}},
		"enable_incremental": {own("enable_incremental", "true"), says(`{ ... @defer { a } }`, `{"data":{"a":1}}`)},
		"max_body_size": {own("max_body_size", "100"), func(t *testing.T, g *gateway) {
			if r := g.ask(`{ a } #` + strings.Repeat("x", 100)); r.status != 413 {
				t.Error(r)
			}
		}},
		"batch_limit": {own("batch_limit", "1"), func(t *testing.T, g *gateway) {
			if r := g.do("POST", g.url, `[{"query":"{a}"},{"query":"{a}"}]`, "Content-Type", "application/json"); r.status != 400 || !strings.Contains(r.body, "more than 1") {
				t.Error(r)
			}
		}},
	}
}

func uploadRows() map[string]configRow {
	on := func(key, v string) map[string]string { return own("enable_uploads", "true", key, v) }
	return map[string]configRow{
		"enable_uploads":        {on("host", "127.0.0.1"), sends(200, "0", "hello")},
		"max_upload_files":      {on("max_upload_files", "1"), sends(413, "0", "hello", "1", "you")},
		"max_upload_size":       {on("max_upload_size", "4"), sends(413, "0", "hello")},
		"max_upload_total_size": {on("max_upload_total_size", "1000"), sends(413, "0", strings.Repeat("x", 1000))},
	}
}

func limitRows() map[string]configRow {
	return map[string]configRow{
		"max_tokens":        {own("max_tokens", "3"), says(`{ a me }`, "limit of 3 tokens")},
		"max_depth":         {own("max_depth", "1"), says(`{ next { a } }`, "limit of 1")},
		"max_aliases":       {own("max_aliases", "1"), says(`{ x: a y: a }`, "limit of 1 aliases")},
		"max_selections":    {own("max_selections", "1"), says(`{ a me }`, "limit of 1")},
		"max_cost":          {own("max_cost", "1"), says(`{ bad me }`, "limit of 1 for the cost")},
		"max_errors":        {own("max_errors", "1"), says(`{ x: bad y: bad z: bad }`, "2 are left out")},
		"max_response_size": {own("max_response_size", "20"), says(`{ x: a y: a z: a next { a } }`, "limit of 20 bytes")},
		"max_concurrency":   {own("max_concurrency", "1", "operation_timeout", "100ms"), says(`{ x: meet y: meet }`, "LIMIT_EXCEEDED")},
		"operation_timeout": {own("operation_timeout", "20ms"), says(`{ meet }`, "limit of 0.02 s")},
	}
}

func subscriberRows() map[string]configRow {
	return map[string]configRow{
		"max_operations": {own("max_operations", "1"), func(t *testing.T, g *gateway) {
			c := dialWS(t, g.url, nil, newProtocol)
			play(c, []string{`>{"type":"connection_init"}`, `{"type":"connection_ack"}`, `>{"id":"1","type":"subscribe","payload":{"query":"{ meet }"}}`})
			c.say(`{"id":"2","type":"subscribe","payload":{"query":"{ meet }"}}`)
			if m := c.hear(); !strings.Contains(m, "limit of 1 operations at once on one connection") {
				t.Error(m)
			}
		}},
		"init_timeout": {own("init_timeout", "20ms"), func(t *testing.T, g *gateway) {
			dialWS(t, g.url, nil, newProtocol).hears(`close 4408 Connection initialisation timeout`)
		}},
		"keep_alive": {own("keep_alive", "20ms"), func(t *testing.T, g *gateway) {
			c := dialWS(t, g.url, nil, oldProtocol)
			play(c, []string{`>{"type":"connection_init"}`, `{"type":"connection_ack"}`, `{"type":"ka"}`, `{"type":"ka"}`, `{"type":"ka"}`})
		}},
	}
}

// TestConfigKeys observes every key on a socket, once read from a file and once from the environment.
func TestConfigKeys(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"file", "environment"} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			conftest.EachKey(t, new(graphql.Config), configRows(conftest.FreePort(t)), func(t *testing.T, _ string, row configRow) {
				row.check(t, startGateway(t, nil, configured(source, row.set), // and what the manager has in place of a key
					comm.WithHandshakeTimeout(2*patience), comm.WithHeartbeat(2*patience))) // would come too late
			})
		})
	}
}

func configured(source string, set map[string]string) comm.Option {
	if source == "environment" {
		return comm.WithEnviron(conftest.Environ("graphql", set), "")
	}
	return comm.WithConfigJSON("config.json", conftest.Document("graphql", set))
}
