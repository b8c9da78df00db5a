package ws_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/conf"
	"github.com/anasamu/comm/internal/wsframe"
	"github.com/anasamu/comm/ws"
)

// configured runs a manager whose section "websocket" holds the given members.
func configured(t *testing.T, members string) *comm.Manager {
	t.Helper()
	doc := `{"providers":{"websocket":{` + members + `}}}`
	return gateway(t, comm.WithOpenAccess(), comm.WithConfigJSON("test.json", []byte(doc)))
}

// effects observes each configuration key on a live socket.
var effects = map[string]func(t *testing.T){
	"path": func(t *testing.T) {
		m := configured(t, `"path":"/elsewhere"`)
		c, _, err := ws.Dial(t.Context(), "ws://"+addr(t, m)+"/elsewhere")
		if err != nil {
			t.Fatal(err)
		}
		_ = c.CloseNow()
	},
	"check_origin": func(t *testing.T) {
		evil := ws.WithHeader(http.Header{"Origin": {"https://evil.example"}})
		simple(t, configured(t, `"check_origin":false`), evil)
		_, resp, err := ws.Dial(t.Context(), "ws://"+addr(t, configured(t, ""))+"/ws", evil)
		if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
			t.Fatalf("another origin: %v, %v", resp, err)
		}
	},
	"ping_period": func(t *testing.T) {
		t.Parallel()
		p := dialRawProvider(t, configured(t, `"ping_period":"1s"`))
		if h := p.untilControl(); h != wsframe.Ping {
			t.Fatalf("opcode %#x, want a ping", h)
		}
	},
	"pong_wait": func(t *testing.T) {
		t.Parallel()
		m := configured(t, `"pong_wait":"1s"`)
		p := dialRawProvider(t, m)
		if first, then := p.untilControl(), p.untilControl(); first != wsframe.Ping || then != 0 {
			t.Fatalf("opcodes %#x and %#x, want a ping and the end", first, then)
		}
	},
	"write_wait": func(t *testing.T) {
		m := configured(t, `"write_wait":"100ms"`)
		simple(t, m)
		big, err := comm.NewMessage("big", strings.Repeat("x", 512<<10))
		if err != nil {
			t.Fatal(err)
		}
		var c *comm.Conn
		for c = range m.Connections(comm.ToAll()) {
		}
		start := time.Now()
		for c.Err() == nil {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			_, err := c.Send(ctx, big, comm.WithBlock())
			cancel()
			if err != nil {
				break
			}
		}
		<-c.Done()
		if got := comm.ReasonOf(c.Err()); got != comm.ReasonSlow || time.Since(start) > 30*time.Second {
			t.Fatalf("closed for %v after %v", got, time.Since(start))
		}
	},
	"max_message_size": func(t *testing.T) {
		c := simple(t, configured(t, `"max_message_size":512`))
		writeText(t, c, `{"type":"x","content":"`+strings.Repeat("x", 600)+`"}`)
		if _, _, err := c.Read(t.Context(), nil); ws.CloseStatus(err) != ws.StatusTooBig {
			t.Fatalf("closed with %v", err)
		}
	},
	"compression": func(t *testing.T) {
		c := simple(t, configured(t, `"compression":true`), ws.WithCompression(ws.Compression{}))
		if !c.Compressed() {
			t.Fatal("not agreed on")
		}
	},
	"read_buffer_size":  testReadBuffer,
	"write_buffer_size": testWriteBuffer,
}

func TestConfigKeys(t *testing.T) {
	keys, err := conf.Keys(new(ws.Config))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		observe := effects[key]
		if observe == nil {
			t.Errorf("key %q has no test of its effect", key)
			continue
		}
		t.Run(key, observe)
	}
	for key := range effects {
		if !slices.Contains(keys, key) {
			t.Errorf("effect of %q, which is no key", key)
		}
	}
}

func TestConfigRefused(t *testing.T) {
	t.Parallel()
	doc := `{"providers":{"websocket":{
		"ping_period":"60s","pong_wait":"60050ms","read_buffer_size":100,"write_buffer_size":"1MiB","path":"ws","pathh":1}}}`
	_, err := comm.New(comm.WithProvider(ws.New()), comm.WithConfigJSON("test.json", []byte(doc)))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"pong_wait", "read_buffer_size", "write_buffer_size", "WithPath", `did you mean "path"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
}

// Each combination of ping_period and pong_wait does what its names say, or is refused.
func TestConfigPace(t *testing.T) {
	const period, wait = "ping_period", "pong_wait"
	for _, tt := range []struct {
		members       string
		ping, givenUp time.Duration // of silence; the manager's heartbeat is 25 s
		refused       []string
	}{
		{``, 25 * time.Second, 40 * time.Second, nil},
		{`"ping_period":"54s"`, 54 * time.Second, 69 * time.Second, nil},
		{`"ping_period":"54s","pong_wait":"60s"`, 54 * time.Second, 60 * time.Second, nil},
		{`"pong_wait":"1s"`, 900 * time.Millisecond, time.Second, nil},
		{`"pong_wait":"20s"`, 18 * time.Second, 20 * time.Second, nil},
		{`"pong_wait":"26s"`, 23400 * time.Millisecond, 26 * time.Second, nil},
		{`"pong_wait":"2m"`, 25 * time.Second, 2 * time.Minute, nil},
		{`"ping_period":"5s","pong_wait":"6s"`, 5 * time.Second, 6 * time.Second, nil},
		{`"ping_period":"60s","pong_wait":"60s"`, 0, 0, []string{period, wait}},
		{`"ping_period":"60s","pong_wait":"60001ms"`, 0, 0, []string{period, wait}},
		{`"ping_period":"1ns"`, 0, 0, []string{period, "1s"}},
		{`"pong_wait":"999ms"`, 0, 0, []string{wait, "1s"}},
	} {
		t.Run(tt.members, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				doc := `{"communication":{"heartbeat":"25s"},"providers":{"websocket":{` + tt.members + `}}}`
				m, err := comm.New(comm.WithInMemory(), comm.WithProvider(ws.New()), comm.WithConfigJSON("test.json", []byte(doc)),
					comm.WithLogger(slog.New(slog.DiscardHandler)))
				if tt.refused != nil {
					for _, want := range tt.refused {
						if err == nil || !strings.Contains(err.Error(), want) {
							t.Errorf("%v lacks %s", err, want)
						}
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				if err := m.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				observePace(t, m, tt.ping, tt.givenUp)
			})
		})
	}
}

// observePace is a client that says nothing and notes when it is pinged and given up.
func observePace(t *testing.T, m *comm.Manager, ping, givenUp time.Duration) {
	t.Helper()
	nc, err := m.DialContext(t.Context(), "tcp", "gateway")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	p := rawUpgrade(t, nc)
	p.patience = time.Hour
	start := time.Now()
	if op := p.untilControl(); op != wsframe.Ping || time.Since(start) != ping {
		t.Fatalf("opcode %#x after %v, want a ping after %v", op, time.Since(start), ping)
	}
	if op := p.untilControl(); op != 0 || time.Since(start) != givenUp {
		t.Fatalf("opcode %#x after %v, want the end after %v", op, time.Since(start), givenUp)
	}
}

// The welcome tells this carrier's own limits where they are tighter than the manager's.
func TestWelcomeTellsOwnSettings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		members    string
		heartbeat  int64
		maxMessage int
	}{
		{``, 25000, 1 << 20},
		{`"ping_period":"54s","pong_wait":"60s","max_message_size":512`, 54000, 512},
		{`"max_message_size":"2MiB"`, 25000, 1 << 20},
	} {
		m := configured(t, tt.members)
		c, _, err := ws.Dial(t.Context(), "ws://"+addr(t, m)+"/ws")
		if err != nil {
			t.Fatal(err)
		}
		f, err := comm.JSON().ParseFrame([]byte(readText(t, c)))
		if err != nil || f.Welcome == nil {
			t.Fatalf("%+v, %v", f, err)
		}
		if got := f.Welcome; got.Heartbeat.Milliseconds() != tt.heartbeat || got.MaxMessage != tt.maxMessage {
			t.Errorf("%s: heartbeat %v, max_message %d", tt.members, got.Heartbeat, got.MaxMessage)
		}
		_ = c.CloseNow()
	}
}

// dialRawProvider is a client that answers nothing by itself.
func dialRawProvider(t *testing.T, m *comm.Manager) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", addr(t, m))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return rawUpgrade(t, nc)
}

func rawUpgrade(t *testing.T, nc net.Conn) *peer {
	t.Helper()
	p := &peer{t: t, nc: nc, br: bufio.NewReader(nc), masked: true}
	fmt.Fprintf(nc, "GET /ws HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", testKey)
	resp, err := http.ReadResponse(p.br, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %v, %v", resp, err)
	}
	return p
}

// untilControl reads up to a control frame or the end, and returns its opcode, or 0.
func (p *peer) untilControl() wsframe.Opcode {
	for {
		f, err := p.next()
		if err != nil {
			return 0
		}
		if f.op >= wsframe.Close {
			return f.op
		}
	}
}
