package conf_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/anasamu/comm/internal/conf"
)

func environment(t *testing.T, prefix string, vars ...string) *conf.Env {
	t.Helper()
	e, err := conf.NewEnv(vars, prefix)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEnvEveryKind(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "MYAPP_", "MYAPP"} {
		with := ""
		if prefix != "" {
			with = "MYAPP_"
		}
		env := environment(t, prefix, with+"HTTP_HOST=h", with+"HTTP_PORT=8080", with+"HTTP_PORT=9", with+"HTTP_SMALL=-128",
			with+"HTTP_UNSIGNED=65535", with+"HTTP_RATIO=0.5", with+"HTTP_ENABLED=true", with+"HTTP_TIMEOUT=1m30s",
			with+"HTTP_BUFFER=64KiB", with+"HTTP_MODE=safe", with+"HTTP_ORIGINS=a, b", with+"HTTP_PROXIES=10.0.0.0/8",
			with+"HTTP_OPTIONAL=7", with+"HTTP_TLS_CERT=new", with+"HTTP_CLIENT_KEY=mine")
		got := defaults()
		if err := errors.Join(env.Decode("http", &got), env.Unknown()); err != nil {
			t.Fatal(err)
		}
		seven := 7
		same(t, "config", got, config{
			common: common{"h"}, Port: 8080, Small: -128, Unsigned: 65535, Ratio: .5, Enabled: true, Timeout: 90 * time.Second,
			Buffer: 64 << 10, Mode: "safe", Origins: []string{"a", "b"}, Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			Optional: &seven, TLS: tlsConfig{"new", "k"}, Client: &tlsConfig{Key: "mine"},
		})
	}
}

func TestEnvOnlyWhatIsSet(t *testing.T) {
	t.Parallel()
	got := defaults()
	env := environment(t, "MYAPP", "HTTP_PORT=1", "MYAPP_SSE_PORT=2", "MYAPPHTTP_PORT=3", "=C:=C:\\", "broken", "MYAPP_HTTP_HOST=", "MYAPP_HTTP_ORIGINS=")
	if err := env.Decode("http", &got); err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Host, want.Origins = "", []string{}
	same(t, "config", got, want)
	var none *conf.Env
	if err := errors.Join(none.Decode("http", &got), none.Unknown()); err != nil {
		t.Error(err)
	}
}

func TestEnvProblems(t *testing.T) {
	t.Parallel()
	for variable, want := range map[string]string{
		"HTTP_PORT=http":           `HTTP_PORT: "http": want a whole number`,
		"HTTP_PORT=":               `HTTP_PORT: empty: unset the variable to keep the value below it`,
		"HTTP_PORT=70000":          `HTTP_PORT: 70000: allowed are 0 to 65535`,
		"HTTP_PORT=http://x":       `HTTP_PORT: "http://x": want a whole number`,
		"HTTP_ENABLED=yes":         `HTTP_ENABLED: "yes": want true or false`,
		"HTTP_TIMEOUT=30":          `HTTP_TIMEOUT: "30": want a duration such as "30s" or "1m30s"`,
		"HTTP_RATIO=NaN":           `HTTP_RATIO: "NaN": want a number`,
		"HTTP_RATIO=Inf":           `HTTP_RATIO: "Inf": want a number`,
		"HTTP_UNSIGNED=-1":         `HTTP_UNSIGNED: -1: allowed are 0 to 65535`,
		"HTTP_MODE=":               `HTTP_MODE: "": allowed are fast, safe`,
		"HTTP_ORIGINS=a,,b":        `HTTP_ORIGINS: item 2 of the list is empty`,
		"HTTP_BUFFER=2MiB":         `HTTP_BUFFER: 2MiB: allowed are 1 to 1MiB`,
		"HTTP_OPTIONAL=0":          `HTTP_OPTIONAL: 0: allowed is 1 or more`,
		"HTTP_TIMEOUT=1\nforged: ": `HTTP_TIMEOUT: "1\nforged: ": want a duration such as "30s" or "1m30s"`,
	} {
		got := defaults()
		err := environment(t, "", variable).Decode("http", &got)
		same(t, variable, lines(err), []string{"environment: " + want})
		if !errors.Is(err, conf.ErrValue) {
			t.Errorf("%s: %v is no refused value", variable, err)
		}
		same(t, variable, got, defaults())
	}
}

// Names that other programs own are none of our business; names that are ours alone must be right.
func TestEnvUnknown(t *testing.T) {
	t.Parallel()
	type communication struct {
		Timeout time.Duration `json:"timeout"`
		Retry   int           `json:"retry_attempts"`
	}
	foreign := []string{"HTTP_PROXY=http://proxy:3128", "GRPC_GO_LOG_SEVERITY_LEVEL=info", "HTTP_POTR=1", "PATH=/bin"}
	kubernetes := []string{
		"GRPC_PORT=tcp://10.0.0.1:9090", "HTTP_PORT=tcp://10.0.0.2:80", "HTTP_PORT_80_TCP_ADDR=10.0.0.2",
		"HTTP_SERVICE_HOST=10.0.0.2", "COMMUNICATION_PORT=udp://10.0.0.3:1", "COMMUNICATION_SERVICE_HOST=10.0.0.3",
		"COMMUNICATION_SERVICE_PORT=1", "COMMUNICATION_SERVICE_PORT_WEB=1", "COMMUNICATION_PORT_1_UDP=udp://10.0.0.3:1",
		"COMMUNICATION_PORT_1_UDP_PROTO=udp",
	}
	for _, test := range []struct {
		name, prefix string
		vars, want   []string
	}{
		{"foreign", "", foreign, nil},
		{"kubernetes", "", kubernetes, nil},
		{"ours", "", []string{"COMMUNICATION_TIMOUT=1s", "COMMUNICATION_TIMEOUT=2s", "COMMUNICATION_ELEPHANT=1"}, []string{
			`environment: COMMUNICATION_TIMOUT: unknown variable (did you mean "COMMUNICATION_TIMEOUT"?)`,
			`environment: COMMUNICATION_ELEPHANT: unknown variable`,
		}},
		{"no service of that name", "", []string{"COMMUNICATION_SERVICE_HOST=x"}, []string{
			`environment: COMMUNICATION_SERVICE_HOST: unknown variable`,
		}},
		{"prefix", "MYAPP_", append(foreign, "COMMUNICATION_TIMOUT=1s", "MYAPP_HTPP_PORT=1", "MYAPP_COMMUNICATION_TIMEOUT=2s"), []string{
			`environment: MYAPP_HTPP_PORT: unknown variable (did you mean "MYAPP_HTTP_PORT"?)`,
		}},
		{"service of the prefix", "MYAPP_", []string{
			"MYAPP_PORT=tcp://10.0.0.1:80", "MYAPP_SERVICE_HOST=10.0.0.1", "MYAPP_PORT_80_TCP_PORT=80",
			"MYAPP_HTTP_PORT=tcp://10.0.0.1:80", "MYAPP_HTTP_SERVICE_PORT=80",
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := environment(t, test.prefix, test.vars...)
			http, grpc, comm := defaults(), defaults(), communication{}
			if err := errors.Join(env.Decode("http", &http), env.Decode("grpc", &grpc), env.Decode("communication", &comm)); err != nil {
				t.Error(err)
			}
			same(t, "unknown", lines(env.Unknown()), test.want)
			same(t, "http", http, defaults())
			same(t, "grpc", grpc, defaults())
		})
	}
}

func TestEnvPrefix(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"_", "my", "1A", "A B", "Ä", "A-B"} {
		if _, err := conf.NewEnv(nil, prefix); !errors.Is(err, conf.ErrValue) {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
}

// Every layer overrides the one below it, and leaves alone what it does not name.
func TestLayers(t *testing.T) {
	t.Parallel()
	c := defaults()
	file := parse(t, `{"host":"file","port":1,"mode":"safe"}`)
	env := environment(t, "", "HTTP_HOST=environment", "HTTP_PORT=2")
	if err := errors.Join(file.Decode(&c), env.Decode("http", &c)); err != nil {
		t.Fatal(err)
	}
	c.Host = "option"
	same(t, "host", c.Host, "option")
	same(t, "port", c.Port, 2)
	same(t, "mode", c.Mode, "safe")
	same(t, "timeout", c.Timeout, time.Second)
}
