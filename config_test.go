package comm_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
)

// seedDocument is the configuration that the library's users already have.
const seedDocument = `{"communication":{"default_provider":"http","max_connections":1000,"retry_attempts":3,"retry_delay":"5s","timeout":"30s"},
 "providers":{
  "http":{"host":"0.0.0.0","port":8080,"read_timeout":"30s","write_timeout":"30s","idle_timeout":"120s"},
  "websocket":{"read_buffer_size":1024,"write_buffer_size":1024,"check_origin":false,"ping_period":"54s","pong_wait":"60s","write_wait":"10s","max_message_size":512},
  "grpc":{"host":"0.0.0.0","port":9090,"max_recv_msg_size":4194304,"max_send_msg_size":4194304,"enable_reflection":true},
  "quic":{"host":"0.0.0.0","port":8443,"max_streams":100,"max_idle_timeout":"30s","keep_alive_period":"10s"},
  "graphql":{"host":"0.0.0.0","port":8080,"enable_introspection":true,"enable_playground":true},
  "sse":{"host":"0.0.0.0","port":8080,"heartbeat_interval":"30s","max_connections":1000}}}
`

type httpConfig struct {
	Host         string        `json:"host"`
	Port         int           `json:"port" min:"0" max:"65535"`
	ReadTimeout  time.Duration `json:"read_timeout"`
	WriteTimeout time.Duration `json:"write_timeout"`
	IdleTimeout  time.Duration `json:"idle_timeout"`
}

type websocketConfig struct {
	ReadBufferSize  comm.ByteSize `json:"read_buffer_size"`
	WriteBufferSize comm.ByteSize `json:"write_buffer_size"`
	CheckOrigin     bool          `json:"check_origin"`
	PingPeriod      time.Duration `json:"ping_period"`
	PongWait        time.Duration `json:"pong_wait"`
	WriteWait       time.Duration `json:"write_wait"`
	MaxMessageSize  comm.ByteSize `json:"max_message_size"`
}

type sseConfig struct {
	Host              string        `json:"host"`
	Port              int           `json:"port" min:"0" max:"65535"`
	HeartbeatInterval time.Duration `json:"heartbeat_interval"`
	MaxConnections    int           `json:"max_connections"`
}

// configured is a fake with a Config of its own, and an option that has the last word.
type configured[T any] struct {
	fake
	cfg    T
	option func(*T)
	calls  int
}

func (c *configured[T]) Configure(src *comm.ConfigSource) error {
	c.calls++
	err := src.Decode(&c.cfg)
	if c.option != nil {
		c.option(&c.cfg)
	}
	return err
}

func seedProviders() (*configured[httpConfig], *configured[websocketConfig], *configured[sseConfig]) {
	return &configured[httpConfig]{fake: fake{name: "http"}}, &configured[websocketConfig]{fake: fake{name: "websocket"}},
		&configured[sseConfig]{fake: fake{name: "sse"}}
}

func TestSeedDocument(t *testing.T) {
	t.Parallel()
	h, w, s := seedProviders()
	var out logs
	m := newManager(t, out.logger(), comm.WithConfigJSON("config.json", []byte(seedDocument)), comm.WithProvider(w, s, h))
	same(t, "default provider", m.DefaultProvider(), "http")
	same(t, "http", h.cfg, httpConfig{"0.0.0.0", 8080, 30 * time.Second, 30 * time.Second, 2 * time.Minute})
	same(t, "websocket", w.cfg, websocketConfig{1024, 1024, false, 54 * time.Second, time.Minute, 10 * time.Second, 512})
	same(t, "sse", s.cfg, sseConfig{"0.0.0.0", 8080, 30 * time.Second, 1000})
	same(t, "Configure calls", []int{h.calls, w.calls, s.calls}, []int{1, 1, 1})
	for _, name := range []string{"grpc", "quic", "graphql"} {
		if lines := out.with("provider=" + name); len(lines) != 1 || !strings.Contains(lines[0], "not registered") {
			t.Errorf("log of the section %s: %q", name, lines)
		}
	}
}

// The names of the environment variables, exactly.
func TestSeedEnvironment(t *testing.T) {
	t.Parallel()
	environ := []string{
		"COMMUNICATION_DEFAULT_PROVIDER=sse", "COMMUNICATION_MAX_CONNECTIONS=7", "COMMUNICATION_RETRY_ATTEMPTS=5",
		"COMMUNICATION_RETRY_DELAY=2s", "COMMUNICATION_TIMEOUT=9s",
		"HTTP_HOST=127.0.0.1", "HTTP_PORT=8081", "HTTP_READ_TIMEOUT=1s", "HTTP_WRITE_TIMEOUT=2s", "HTTP_IDLE_TIMEOUT=3s",
		"WEBSOCKET_READ_BUFFER_SIZE=4KiB", "WEBSOCKET_WRITE_BUFFER_SIZE=8192", "WEBSOCKET_CHECK_ORIGIN=true",
		"WEBSOCKET_PING_PERIOD=4s", "WEBSOCKET_PONG_WAIT=5s", "WEBSOCKET_WRITE_WAIT=6s", "WEBSOCKET_MAX_MESSAGE_SIZE=2MiB",
		"SSE_HOST=127.0.0.2", "SSE_PORT=8082", "SSE_HEARTBEAT_INTERVAL=7s", "SSE_MAX_CONNECTIONS=8",
		// Of other programs, and of Kubernetes:
		"HTTP_PROXY=http://proxy:3128", "HTTPS_PROXY=http://proxy:3128", "GRPC_GO_LOG_SEVERITY_LEVEL=info",
		"GRPC_GO_RETRY=on", "GRPC_PORT=tcp://10.0.0.1:9090", "QUIC_GO_DISABLE_GSO=true", "PATH=/bin",
		"GRPC_PORT_9090_TCP_ADDR=10.0.0.1", "GRAPHQL_SERVICE_HOST=10.0.0.2",
	}
	for _, prefix := range []string{"", "MYAPP", "MYAPP_"} {
		t.Run("prefix "+prefix, func(t *testing.T) {
			t.Parallel()
			list := slices.Clone(environ)
			if prefix != "" {
				for i := range 21 {
					list[i] = "MYAPP_" + list[i]
				}
				list = append(list, "COMMUNICATION_TIMEOUT=1h", "HTTP_PORT=1", "COMMUNICATION_NOTHING=x") // without the prefix
			}
			h, w, s := seedProviders()
			m := newManager(t, comm.WithEnviron(list, prefix), comm.WithProvider(h, w, s))
			same(t, "default provider", m.DefaultProvider(), "sse")
			cfg := m.Config()
			same(t, "max_connections", cfg.MaxConnections, 7)
			same(t, "retry", []any{cfg.RetryAttempts, cfg.RetryDelay}, []any{5, 2 * time.Second})
			same(t, "timeout", cfg.Timeout, 9*time.Second)
			same(t, "http", h.cfg, httpConfig{"127.0.0.1", 8081, time.Second, 2 * time.Second, 3 * time.Second})
			same(t, "websocket", w.cfg, websocketConfig{4096, 8192, true, 4 * time.Second, 5 * time.Second, 6 * time.Second, 2 << 20})
			same(t, "sse", s.cfg, sseConfig{"127.0.0.2", 8082, 7 * time.Second, 8})
		})
	}
}

// A service of Kubernetes with a provider's name sets HTTP_PORT: it is not a port.
func TestKubernetesServiceIsNoPort(t *testing.T) {
	t.Parallel()
	h, _, _ := seedProviders()
	h.cfg.Port = 80
	newManager(t, comm.WithProvider(h), comm.WithEnviron([]string{
		"HTTP_PORT=tcp://10.0.0.1:80", "HTTP_SERVICE_HOST=10.0.0.1", "HTTP_SERVICE_PORT=80", "HTTP_PORT_80_TCP=tcp://10.0.0.1:80",
	}, ""))
	same(t, "port", h.cfg.Port, 80)
}

// Each layer goes over the one before: defaults, file, environment, options, whatever their order.
func TestLayers(t *testing.T) {
	t.Parallel()
	file := comm.WithConfigJSON("config.json", []byte(`{"communication":{"timeout":"2s","max_groups":2,"max_message":200},"providers":{"http":{"port":2,"host":"file","read_timeout":"2s"}}}`))
	env := comm.WithEnviron([]string{"COMMUNICATION_MAX_GROUPS=3", "COMMUNICATION_MAX_MESSAGE=300", "HTTP_HOST=env", "HTTP_READ_TIMEOUT=3s"}, "")
	h, _, _ := seedProviders()
	h.cfg = httpConfig{Port: 1, Host: "default", ReadTimeout: time.Second, WriteTimeout: time.Second}
	h.option = func(c *httpConfig) { c.ReadTimeout = 4 * time.Second }
	m := newManager(t, comm.WithMaxMessage(400), env, file, comm.WithProvider(h))
	cfg := m.Config()
	same(t, "default", cfg.MaxConnections, 100_000)
	same(t, "file", cfg.Timeout, 2*time.Second)
	same(t, "environment", cfg.MaxGroups, 3)
	same(t, "option", cfg.MaxMessage, 400)
	same(t, "http", h.cfg, httpConfig{Port: 2, Host: "env", ReadTimeout: 4 * time.Second, WriteTimeout: time.Second})
}

func TestConfigProblemsTogether(t *testing.T) {
	t.Parallel()
	h, _, _ := seedProviders()
	_, err := comm.New(comm.WithProvider(h), comm.WithMaxGroups(0), comm.WithEnviron([]string{
		"COMMUNICATION_MAX_GROUP=3", "COMMUNICATION_TIMEOUT=soon", "HTTP_PORT=http",
	}, ""), comm.WithConfigJSON("config.json", []byte(`{
  "communication": {
    "timout": "30s",
    "max_connections": "many",
    "retry_delay": "5s",
    "retry_delay": "6s"
  },
  "providers": {
    "http": {"prot": 8080},
    "grpc": {"port": "9090"},
    "telegraph": {}
  },
  "other": 1
}`)))
	contains(t, err,
		`config.json:3:5: communication.timout: unknown key (did you mean "timeout"?)`,
		`config.json:4:24: communication.max_connections: want a whole number, found a string`,
		`config.json:6:5: communication.retry_delay: duplicate key, first at line 5`,
		`config.json:9:14: providers.http.prot: unknown key (did you mean "port"?)`,
		`config.json:10:22: providers.grpc.port: want a whole number, found a string`,
		`config.json:11:5: providers.telegraph: unknown key`,
		`config.json:13:3: other: unknown key`,
		`environment: COMMUNICATION_MAX_GROUP: unknown variable (did you mean "COMMUNICATION_MAX_GROUPS"?)`,
		`environment: COMMUNICATION_TIMEOUT:`,
		`environment: HTTP_PORT:`,
		`comm: WithMaxGroups(0): allowed is 1 or more`,
	)
	if ce, ok := errors.AsType[*comm.ConfigError](err); !ok || ce.Source != "config.json" || ce.Line == 0 {
		t.Errorf("no *ConfigError in %v", err)
	}
}

// Under the user's prefix every variable is ours, those of protocols that are not registered too.
func TestUnknownVariablesUnderThePrefix(t *testing.T) {
	t.Parallel()
	h, _, _ := seedProviders()
	_, err := comm.New(comm.WithProvider(h), comm.WithEnviron([]string{
		"MYAPP_HTTP_PROT=1", "MYAPP_GRPC_PORT=x", "MYAPP_QUIC_MAX_STREAMS=y", "MYAPP_SSE_HEARTBEAT_INTERVAL=30s",
	}, "MYAPP"))
	contains(t, err, `MYAPP_HTTP_PROT: unknown variable (did you mean "MYAPP_HTTP_PORT"?)`, "MYAPP_GRPC_PORT:", "MYAPP_QUIC_MAX_STREAMS:")
	if strings.Contains(err.Error(), "SSE") {
		t.Errorf("a right variable of a known protocol is refused: %v", err)
	}
}

func TestUnknownVariableWithoutProviders(t *testing.T) {
	t.Parallel()
	_, err := comm.New(comm.WithEnviron([]string{"COMMUNICATION_TIMOUT=1s", "HTTP_PROXY=x"}, ""))
	contains(t, err, `COMMUNICATION_TIMOUT: unknown variable (did you mean "COMMUNICATION_TIMEOUT"?)`)
}

func TestConfigFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(name, []byte(`{"communication":{"timeout":"4s"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	same(t, "timeout", newManager(t, comm.WithConfigFile(name)).Config().Timeout, 4*time.Second)
	_, err := comm.New(comm.WithConfigFile(name + ".gone"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	for document, want := range map[string]string{
		"":                        "not valid JSON",
		"[]":                      "want an object",
		`{"communication":3}`:     "communication: want an object, found a number",
		`{"providers":{"sse":1}}`: "providers.sse: want an object, found a number",
		`{"communication":{}`:     "not valid JSON",
	} {
		_, err := comm.New(comm.WithConfigJSON("doc", []byte(document)))
		contains(t, err, want, "doc:1:")
	}
}

// The process's environment and any file are left alone unless an option asks for them.
func TestSourcesOnlyWhenAskedFor(t *testing.T) {
	t.Setenv("COMMUNICATION_TIMEOUT", "1s")
	t.Setenv("COMMUNICATION_NONSENSE", "1s")
	t.Setenv("ASKED_COMMUNICATION_TIMEOUT", "2s")
	same(t, "not asked", newManager(t).Config().Timeout, 30*time.Second)
	same(t, "asked with a prefix", newManager(t, comm.WithEnvironment("ASKED")).Config().Timeout, 2*time.Second)
	_, err := comm.New(comm.WithEnvironment(""))
	contains(t, err, "COMMUNICATION_NONSENSE")
}

func TestRegisterReadsNoSources(t *testing.T) {
	t.Parallel()
	h, _, _ := seedProviders()
	m := newManager(t, comm.WithConfigJSON("config.json", []byte(`{"providers":{"http":{"port":8080}}}`)))
	if err := m.Register(h); err != nil {
		t.Fatal(err)
	}
	same(t, "port", h.cfg.Port, 0)
	same(t, "Configure calls", h.calls, 1)
}

// refusing is a provider whose options are bad.
type refusing struct{ fake }

func (*refusing) Configure(*comm.ConfigSource) error { return errors.New("bad port") }

func TestProviderRefusesItsOptions(t *testing.T) {
	t.Parallel()
	_, err := comm.New(comm.WithProvider(&refusing{fake{name: "a"}}, &refusing{fake{name: "b"}}), comm.WithMaxGroups(-1))
	same(t, "refusals", strings.Count(err.Error(), "bad port"), 2)
	contains(t, err, "WithMaxGroups(-1)")
	m := newManager(t)
	contains(t, m.Register(&refusing{fake{name: "a"}}), "bad port")
	same(t, "providers", m.Providers(), []string{})
}

func TestFileWithOptionsContext(t *testing.T) {
	t.Parallel()
	// What the file says of origins is checked like the option.
	_, err := comm.New(comm.WithConfigJSON("config.json", []byte(`{"communication":{"allowed_origins":["app.example.com","https://x/y"]}}`)))
	contains(t, err, "app.example.com", "https://x/y", "scheme://host")
	_, err = comm.New(comm.WithProvider(&fake{}), comm.WithConfigJSON("config.json", []byte(`{"communication":{"default_provider":"http"}}`)))
	contains(t, err, "http", "[fake]")
	if m := newManager(t, comm.WithProvider(&fake{})); m.Start(context.Background()) != nil {
		t.Error("a manager without a file does not start")
	}
}
