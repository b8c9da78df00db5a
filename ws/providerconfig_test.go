package ws_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
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
		p := dialRawProvider(t, configured(t, `"ping_period":"30ms"`))
		if h := p.untilControl(); h != wsframe.Ping {
			t.Fatalf("opcode %#x, want a ping", h)
		}
	},
	"pong_wait": func(t *testing.T) {
		m := configured(t, `"ping_period":"30ms","pong_wait":"90ms"`)
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
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			_, err := c.Send(ctx, big, comm.WithBlock())
			cancel()
			if err != nil {
				break
			}
		}
		<-c.Done()
		if got := comm.ReasonOf(c.Err()); got != comm.ReasonSlow || time.Since(start) > 5*time.Second {
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
		"ping_period":"60s","pong_wait":"54s","read_buffer_size":100,"write_buffer_size":"1MiB","path":"ws","pathh":1}}}`
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

// dialRawProvider is a client that answers nothing by itself.
func dialRawProvider(t *testing.T, m *comm.Manager) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", addr(t, m))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
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
