package sse_test

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	"github.com/anasamu/comm/sse"
)

// TestConformance holds the provider against the suite that every provider passes.
func TestConformance(t *testing.T) { conform(t) }

// TestConformanceHijacked does so for connections that are taken over.
func TestConformanceHijacked(t *testing.T) {
	if testing.Short() {
		t.Skip("the suite once more")
	}
	conform(t, sse.WithHijack())
}

func conform(t *testing.T, opts ...sse.ProviderOption) {
	commtest.Run(t, func(t *testing.T) commtest.Setup {
		if (raceDetector || len(opts) > 0) && floods(t.Name()) || strings.HasSuffix(t.Name(), "/mtls/overflow/disconnect") { // as tls
			t.Skip("megabytes for what the same row proves in memory")
		}
		return commtest.Setup{
			Provider:     sse.New(opts...),
			Dialer:       dialerTo,
			SendRaw:      sse.SendRaw,
			Backpressure: true,
		}
	})
}

// floods reports whether a row fills the buffers of a socket for a promise that the core keeps. That a
// full socket is felt, "disconnect" and "stalled client" show.
func floods(name string) bool {
	_, row, ok := strings.Cut(name, "/sockets/")
	switch row {
	case "overflow/disconnect", "overflow/stalled_client_never_delays_others":
		return false
	}
	topic, _, _ := strings.Cut(row, "/")
	return ok && (topic == "overflow" || topic == "replay" || topic == "gap") || strings.HasSuffix(name, "tls/overflow/disconnect")
}

func dialerTo(e commtest.Endpoint) comm.Dialer {
	opts := []sse.DialOption{sse.WithDialContext(e.DialContext)}
	if e.TLS != nil {
		opts = append(opts, sse.WithTLS(e.TLS))
	}
	return sse.SuiteDialer(e.URL("http", "/events"), opts...)
}

// TestModel cuts streams at random bytes: nothing is lost that no gap announces.
func TestModel(t *testing.T) {
	for _, hijack := range []bool{false, true} {
		t.Run(fmt.Sprintf("hijacked=%v", hijack), func(t *testing.T) {
			t.Parallel()
			var opts []sse.ProviderOption
			if hijack {
				opts = append(opts, sse.WithHijack())
			}
			commtest.RunModel(t, commtest.Model{
				Carriers: []commtest.ModelCarrier{{Provider: sse.New(opts...), Dialer: dialerTo}}, Memory: true, Cuts: 150,
			})
		})
	}
}

// TestVectors replays the protocol's vectors: what a client sends as hello or upward, what the server
// sends through the format of the stream.
func TestVectors(t *testing.T) {
	t.Parallel()
	list, err := commtest.Vectors()
	if err != nil || len(list) == 0 {
		t.Fatal(len(list), err)
	}
	g := startGateway(t, nil, comm.WithOpenAccess(), comm.WithMessageRate(10_000, 10_000))
	s := g.hello(t, `{"op":"hello"}`)
	for _, v := range list {
		t.Run(v.File+"/"+v.Name, func(t *testing.T) {
			if v.Direction != "server" {
				if v.Members["op"] == "hello" || v.File == "hello.json" {
					checkHello(t, g, v)
					return
				}
				status, _, body := g.do(t, "POST", v.Frame, s.names()...)
				if v.Error == "" {
					if status != 202 || body != "{\"accepted\":1}\n" {
						t.Errorf("%d %s, want 202", status, body)
					}
					return
				}
				checkRefusal(t, v, status, body)
				return
			}
			f, err := comm.JSON().ParseFrame([]byte(v.Frame))
			if err != nil {
				if v.Error == "" {
					t.Error(err)
				}
				return
			}
			checkFormat(t, f)
		})
	}
	g.send(t, comm.ToConn(s.welcome["conn"].(string)), "still here")
	for ev, f := s.next(); f["content"] != "still here"; ev, f = s.next() {
		if ev.Type != "control" && f["type"] == nil {
			t.Fatalf("%s", ev.Data)
		}
	}
}

// checkHello opens a stream with a hello, or is refused.
func checkHello(t *testing.T, g *gateway, v commtest.Vector) {
	res := g.open(t, "POST", g.url, v.Frame, "Accept", sse.ContentType)
	defer res.Body.Close()
	if n, ok := v.Members["version"].(float64); ok && n != 0 && n != comm.ProtocolVersion { // it parses, and is refused
		v.Error, v.ID = comm.CodeUnsupportedVersion, ""
		if id, ok := v.Members["id"].(string); ok {
			v.ID = id
		}
	}
	if v.Error == "" {
		if ev, err := sse.NewDecoder(res.Body).Next(); res.StatusCode != 200 || err != nil || !contains(string(ev.Data), `"op":"welcome"`) {
			t.Errorf("%d %s, %v, want welcome", res.StatusCode, ev.Data, err)
		}
		return
	}
	if res.StatusCode == 200 {
		t.Fatal("accepted") // and the stream has no end
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	checkRefusal(t, v, res.StatusCode, string(body))
}

// checkRefusal holds an error frame against its vector.
func checkRefusal(t *testing.T, v commtest.Vector, status int, body string) {
	var f struct{ Op, ID, Code string }
	if err := json.Unmarshal([]byte(body), &f); err != nil || status != 400 || f.Op != "error" || f.Code != string(v.Error) || f.ID != v.ID {
		t.Errorf("%d %s, want 400 with %s of %q", status, body, v.Error, v.ID)
	}
}

// checkFormat sends a frame through the format and back.
func checkFormat(t *testing.T, f *comm.Frame) {
	event, err := sse.Format.Append(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	want, err := comm.JSON().AppendFrame(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	var p sse.Parser
	ev, rest, ok, err := p.Next(event)
	if err != nil || !ok || len(rest) != 0 || string(ev.Data) != string(want) || (ev.Type == "control") != (f.Op != comm.OpMessage) {
		t.Errorf("%q becomes %q %q, %v", event, ev.Type, ev.Data, err)
	}
}
