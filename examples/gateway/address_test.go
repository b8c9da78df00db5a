package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// configFile writes a configuration file; PORT and PORT2 stand for free ports.
func configFile(t *testing.T, doc string) string {
	t.Helper()
	doc = strings.NewReplacer("PORT2", freePort(t), "PORT", freePort(t)).Replace(doc)
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// One address that others can reach is enough to need a token, whichever protocol has it.
func TestAnyOpenAddressNeedsToken(t *testing.T) {
	t.Parallel()
	for doc, outside := range map[string]bool{
		`{}`: false,
		`{"providers":{"http":{"host":"127.0.0.1","port":8080},"sse":{"host":"127.0.0.1","port":8081}}}`:                    false,
		`{"providers":{"http":{"host":"localhost","port":8080},"sse":{"host":"::1","port":8080}}}`:                          false,
		`{"providers":{"http":{"host":"127.0.0.1","port":8080},"sse":{"host":"0.0.0.0","port":8081}}}`:                      true,
		`{"providers":{"http":{"host":"127.0.0.1","port":8080},"sse":{"host":"::","port":8081}}}`:                           true,
		`{"providers":{"http":{"host":"127.0.0.1","port":8080},"grpc":{"host":"0.0.0.0","port":9090}}}`:                     true,
		`{"providers":{"http":{"host":"127.0.0.1","port":8080},"sse":{"port":8081}}}`:                                       true,
		`{"providers":{"http":{"host":"0.0.0.0","port":8080},"sse":{"host":"127.0.0.1","port":8081}}}`:                      true,
		`{"communication":{"addr":"0.0.0.0:8082"},"providers":{"http":{"host":"127.0.0.1","port":8080}}}`:                   true,
		`{"communication":{"addr":"127.0.0.1:8082"},"providers":{"http":{"host":"192.0.2.1","port":8080}}}`:                 true,
		`{"communication":{"default_provider":"sse"},"providers":{"sse":{"host":"gateway.example.com","port":8080}}}`:       true,
		`{"communication":{"default_provider":"sse"},"providers":{"sse":{"host":"127.0.0.1","port":8080},"http":{}}}`:       false,
		`{"communication":{"addr":"127.0.0.1:8082"},"providers":{"http":{"port":8080},"sse":{"host":"::1","port":8081}}}`:   true,
		`{"communication":{"addr":"[::1]:8082"},"providers":{"http":{"host":"127.0.0.1"},"sse":{"host":"127.3.2.1"}}}`:      false,
		`{"communication":{"addr":":8082"},"providers":{"http":{"host":"127.0.0.1"},"sse":{"host":"127.0.0.1","port":81}}}`: true,
	} {
		gw, token, err := open(flags{config: configFile(t, doc)})
		if err != nil {
			t.Errorf("%s: %v", doc, err)
			continue
		}
		if (token != "") != outside {
			t.Errorf("%s: token %q", doc, token)
		}
		if err := gw.Close(); err != nil {
			t.Error(err)
		}
	}
	for addr, outside := range map[string]bool{"127.0.0.1:0": false, ":0": true} {
		gw, token, err := open(flags{addr: addr, config: configFile(t, `{"providers":{"http":{"host":"0.0.0.0"},"sse":{"host":"127.0.0.1"}}}`)})
		if err != nil || (token != "") != outside {
			t.Errorf("-addr %s: token %q, %v", addr, token, err)
			continue
		}
		if err := gw.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Every address that is printed leads to its protocol, and none of them in without the token.
func TestAnnouncedAddresses(t *testing.T) {
	t.Parallel()
	file := configFile(t, `{"providers":{
		"http":{"host":"127.0.0.1","port":PORT,"poll_path":"/here","metrics_path":""},
		"websocket":{"path":"/socket"},
		"sse":{"host":"0.0.0.0","port":PORT2,"path":"/stream"}}}`)
	gw, token, err := open(flags{config: file})
	if err != nil {
		t.Fatal(err)
	}
	defer gw.Close()
	if err := gw.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	announce(&out, gw.Addrs, readSettings(file), token)
	if token == "" || !strings.Contains(out.String(), "/#token="+token+"\n") || strings.Contains(out.String(), "metrics") {
		t.Fatalf("token %q in:\n%s", token, &out)
	}
	urls := regexp.MustCompile(`(?m)^  (\S.*?) +(?:ws|http)://(\S+)`).FindAllStringSubmatch(out.String(), -1)
	if len(urls) != 8 {
		t.Fatalf("%d addresses in:\n%s", len(urls), &out)
	}
	for _, u := range urls {
		with, without := answers(t, u[2], token), answers(t, u[2], "")
		guarded := u[1] != "page" && u[1] != "alive" && u[1] != "ready" && u[1] != "GraphQL" // whose token comes in connection_init
		if with == http.StatusNotFound || with == http.StatusUnauthorized || guarded && without != http.StatusUnauthorized {
			t.Errorf("%s at %s: %d with the token, %d without", u[1], u[2], with, without)
		}
	}
}

// A request to /graphql needs the token too, and with it does what all clients can.
func TestGraphQLNeedsToken(t *testing.T) {
	t.Parallel()
	gw, token, err := open(flags{config: configFile(t, `{"providers":{"http":{"host":"0.0.0.0","port":PORT}}}`)})
	if err != nil {
		t.Fatal(err)
	}
	defer gw.Close()
	if err := gw.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{"": "unauthenticated", "ann:" + token: `{"data":{"connection":{"user":"ann"}}}`} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/graphql", strings.NewReader(`{"query":"{ connection { user } }"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if given != "" {
			r.Header.Set("Authorization", "Bearer "+given)
		}
		resp, err := gw.HandleRequest(t.Context(), "graphql", r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("token %q: %s %s, %v, want %s", given, resp.Status, b, err, want)
		}
	}
}

// answers is the status of a GET that would open a WebSocket where there is one.
func answers(t *testing.T, url, token string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// A second gateway at an address ends at once and says why, unless its file asks for more attempts.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	p := start(t, "-addr", "127.0.0.1:0")
	for _, c := range []struct {
		name, communication string
		again               bool
	}{
		{"no file", "", false},
		{"a file that says nothing of it", `"addr":"` + p.host + `"`, false},
		{"a file that does", `"addr":"` + p.host + `","retry_attempts":2,"retry_delay":"1ms"`, true},
	} {
		args := []string{"-addr", p.host}
		if c.communication != "" {
			args = []string{"-config", configFile(t, `{"communication":{`+c.communication+`}}`)}
		}
		began := time.Now()
		out, err := command(t, args...).CombinedOutput()
		took := time.Since(began)
		failed, ok := errors.AsType[*exec.ExitError](err)
		if !ok || failed.ExitCode() != 1 || took > 30*time.Second {
			t.Errorf("%s: %v after %v", c.name, err, took)
		}
		if !strings.Contains(string(out), "address already in use\nis another gateway running?") || strings.Contains(string(out), "retry_in") != c.again {
			t.Errorf("%s: it said:\n%s", c.name, out)
		}
	}
	p.stop(t)
}
