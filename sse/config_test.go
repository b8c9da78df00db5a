package sse_test

import (
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/conf/conftest"
	"github.com/anasamu/comm/sse"
)

// configRow is one key of the section "sse" and what a client on a socket sees of it.
type configRow struct {
	set   map[string]string // as the environment has it
	check func(t *testing.T, g *gateway)
}

func configRows(port string) map[string]configRow {
	own := func(more ...string) map[string]string {
		m := map[string]string{"host": "127.0.0.1"} // an address of its own, on a free port
		for i := 0; i+1 < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	return map[string]configRow{
		"host": {own("host", "127.0.0.2"), func(t *testing.T, g *gateway) {
			if host := g.host(t); !strings.HasPrefix(host, "127.0.0.2:") {
				t.Errorf("served on %s", host)
			}
			g.subscribe(t, "")
		}},
		"port": {own("port", port), func(t *testing.T, g *gateway) {
			if host := g.host(t); host != "127.0.0.1:"+port {
				t.Errorf("served on %s, want port %s", host, port)
			}
			g.subscribe(t, "")
		}},
		"path": {own("path", "/here"), func(t *testing.T, g *gateway) {
			if status, _, _ := g.do(t, "GET", ""); status != 404 {
				t.Errorf("the default path answers %d", status)
			}
			g.url = strings.TrimSuffix(g.url, "/events") + "/here"
			g.subscribe(t, "")
		}},
		"heartbeat_interval": {own("heartbeat_interval", "100ms"), func(t *testing.T, g *gateway) {
			began, comment := time.Now(), make([]byte, 3)
			s := g.subscribe(t, "")
			if s.welcome["heartbeat"] != 100.0 {
				t.Errorf("welcome says %v ms", s.welcome["heartbeat"])
			}
			if n, err := s.res.Body.Read(comment); err != nil || string(comment[:n]) != ":\n\n" || time.Since(began) < 100*time.Millisecond {
				t.Errorf("got %q, %v after %v", comment[:n], err, time.Since(began))
			}
		}},
		"max_connections": {own("max_connections", "1"), func(t *testing.T, g *gateway) {
			g.subscribe(t, "")
			if status, h, _ := g.do(t, "GET", ""); status != 503 || h.Get("Retry-After") == "" {
				t.Errorf("a second client is answered %d, %v", status, h)
			}
		}},
		"retry": {own("retry", "1500ms"), func(t *testing.T, g *gateway) {
			if d, ok := g.subscribe(t, "").d.Retry(); !ok || d != 1500*time.Millisecond {
				t.Errorf("retry %v, %v", d, ok)
			}
		}},
		"hijack": {own("hijack", "true"), func(t *testing.T, g *gateway) {
			if !hijacked(t, g) {
				t.Error("the connection goes back to net/http after the stream")
			}
		}},
	}
}

// host is where the provider is served.
func (g *gateway) host(t *testing.T) string {
	t.Helper()
	addrs, err := g.Addrs("sse")
	if err != nil || len(addrs) != 1 {
		t.Fatal(addrs, err)
	}
	return addrs[0]
}

// hijacked reports whether a client of HTTP/1.1 is told that the connection ends with the stream.
func hijacked(t *testing.T, g *gateway) bool {
	return g.subscribe(t, "").res.Close
}

// TestConfigKeys observes every key on a socket, once read from a file and once from the environment.
func TestConfigKeys(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"file", "environment"} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			conftest.EachKey(t, new(sse.Config), configRows(conftest.FreePort(t)), func(t *testing.T, _ string, row configRow) {
				row.check(t, startGateway(t, nil, configured(source, row.set)))
			})
		})
	}
}

func configured(source string, set map[string]string) comm.Option {
	if source == "environment" {
		return comm.WithEnviron(conftest.Environ("sse", set), "")
	}
	return comm.WithConfigJSON("config.json", conftest.Document("sse", set))
}

// The effects above are not there by default, and options win over both sources.
func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	g := startGateway(t, nil)
	s := g.subscribe(t, "")
	if _, ok := s.d.Retry(); ok || hijacked(t, g) || s.welcome["heartbeat"] == 100.0 {
		t.Error("a default has the effect of a key")
	}
	g = startGateway(t, []sse.ProviderOption{sse.WithRetry(time.Second), sse.WithHeartbeat(time.Minute)},
		configured("file", map[string]string{"retry": "2s", "heartbeat_interval": "2s"}),
		configured("environment", map[string]string{"retry": "3s", "heartbeat_interval": "3s"}))
	s = g.subscribe(t, "")
	if d, _ := s.d.Retry(); d != time.Second || s.welcome["heartbeat"] != 60_000.0 {
		t.Errorf("retry %v, heartbeat %v: want those of the options", d, s.welcome["heartbeat"])
	}
}
