package commquic_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
	commquic "github.com/anasamu/comm/quic"
)

// everyKey is a section with each key, and want what it says.
const everyKey = `{"host":"127.0.0.1","port":4433,"max_streams":7,"max_idle_timeout":"40s","keep_alive_period":"11s","handshake_timeout":"3s",
"stream_window":"128KiB","connection_window":"256KiB","max_lanes":3,"large_message":"1MiB","retry_rate":9,"qlog_dir":"traces","allow_0rtt":true,
"max_connections_per_addr":12,"http3":false,"webtransport_path":"/sessions","max_sessions":2}`

var want = commquic.Config{
	Host: "127.0.0.1", Port: 4433, MaxStreams: 7, MaxIdleTimeout: 40 * time.Second, KeepAlivePeriod: 11 * time.Second,
	HandshakeTimeout: 3 * time.Second, StreamWindow: 128 << 10, ConnectionWindow: 256 << 10, MaxLanes: 3, LargeMessage: 1 << 20,
	RetryRate: 9, MaxConnectionsPerAddr: 12, QlogDir: "traces", Allow0RTT: true, WebTransportPath: "/sessions", MaxSessions: 2,
}

// A file sets every key; options go over it; the defaults are documented.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	var section map[string]any
	if err := json.Unmarshal([]byte(everyKey), &section); err != nil {
		t.Fatal(err)
	}
	for f := range reflect.TypeFor[commquic.Config]().Fields() {
		if _, ok := section[f.Tag.Get("json")]; !ok {
			t.Errorf("no key %q in the section of this test", f.Tag.Get("json"))
		}
	}
	doc := comm.WithConfigJSON("test.json", []byte(`{"providers":{"quic":`+everyKey+`}}`))
	p := commquic.New()
	if _, err := comm.New(comm.WithProvider(p), doc); err != nil || commquic.ConfigOf(p) != want || p.Address() != "127.0.0.1:4433" {
		t.Errorf("%+v at %q, %v", commquic.ConfigOf(p), p.Address(), err)
	}
	if _, err := comm.New(comm.WithLogger(slog.New(slog.DiscardHandler)), doc); err != nil {
		t.Errorf("without the provider: %v", err)
	}
	p = commquic.New(commquic.WithMaxStreams(5), commquic.WithHost("::1"), commquic.WithPort(1))
	if _, err := comm.New(comm.WithProvider(p), doc); err != nil || commquic.ConfigOf(p).MaxStreams != 5 || p.Address() != "[::1]:1" {
		t.Errorf("%+v at %q, %v", commquic.ConfigOf(p), p.Address(), err)
	}
	p = commquic.New()
	if _, err := comm.New(comm.WithProvider(p)); err != nil || commquic.ConfigOf(p) != commquic.DefaultConfig() || p.Address() != "" {
		t.Errorf("%+v at %q, %v", commquic.ConfigOf(p), p.Address(), err)
	}
	_, err := comm.New(comm.WithProvider(commquic.New()), comm.WithConfigJSON("test.json", []byte(`{"providers":{"quic":{"max_stream":1,"retry_rate":"x"}}}`)))
	if err == nil || !strings.Contains(err.Error(), "max_streams") || !strings.Contains(err.Error(), "retry_rate") {
		t.Errorf("got %v", err)
	}
}

// What is configured holds on the wire.
func TestConfigurationHolds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := commquic.New(commquic.WithMaxStreams(3), commquic.WithMaxIdleTimeout(2*time.Second), commquic.WithKeepAlivePeriod(0),
		commquic.WithFlowControl(8<<10, 16<<10), commquic.WithQlog(dir))
	m := gateway(t, p)
	start := time.Now()
	conn, _, _ := hello(t, addrOf(t, m))
	for n := range 4 {
		if _, err := conn.OpenUniStream(); (err != nil) != (n == 3) {
			t.Errorf("stream %d: %v", n, err)
		}
	}
	// Nobody keeps it alive: the server's idle timeout holds, of which its client is not told.
	eventually(t, "the idle timeout", func() bool { return m.ConnectionCount(comm.ToAll()) == 0 })
	if took := time.Since(start); took < 2*time.Second || took > commquic.DefaultMaxIdleTimeout-2*time.Second {
		t.Errorf("idle for %v", took)
	}
	_ = conn.CloseWithError(0, "")
	if names, err := os.ReadDir(dir); err != nil || len(names) == 0 || filepath.Ext(names[0].Name()) != ".sqlog" {
		t.Errorf("traces %v, %v", names, err)
	}
}
