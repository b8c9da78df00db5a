package conf_test

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm/internal/conf"
)

type tlsConfig struct {
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

type common struct {
	Host string `json:"host"`
}

type config struct {
	common
	Port      int            `json:"port" min:"0" max:"65535"`
	Small     int8           `json:"small"`
	Unsigned  uint16         `json:"unsigned"`
	Ratio     float64        `json:"ratio" max:"1"`
	Enabled   bool           `json:"enabled"`
	Timeout   time.Duration  `json:"timeout" min:"1ms"`
	Buffer    conf.ByteSize  `json:"buffer" min:"1" max:"1MiB"`
	Mode      string         `json:"mode" oneof:"fast,safe"`
	Origins   []string       `json:"origins"`
	Proxies   []netip.Prefix `json:"proxies"`
	Optional  *int           `json:"optional" min:"1"`
	TLS       tlsConfig      `json:"tls"`
	Client    *tlsConfig     `json:"client"`
	Untagged  string
	Forbidden string `json:"-"`
}

func defaults() config {
	one := 1
	return config{
		common: common{Host: "localhost"}, Port: 80, Timeout: time.Second, Buffer: 1024, Mode: "fast",
		Origins: []string{"default"}, Optional: &one, TLS: tlsConfig{Cert: "c", Key: "k"},
	}
}

func parse(t *testing.T, text string) *conf.Section {
	t.Helper()
	s, err := conf.Parse("config.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s\n got %#v\nwant %#v", what, got, want)
	}
}

// The document that the library's users already have is read as it stands.
func TestSeedDocument(t *testing.T) {
	t.Parallel()
	const document = `{"communication":{"default_provider":"http","max_connections":1000,"retry_attempts":3,"retry_delay":"5s","timeout":"30s"},
 "providers":{
  "http":{"host":"0.0.0.0","port":8080,"read_timeout":"30s","write_timeout":"30s","idle_timeout":"120s"},
  "websocket":{"read_buffer_size":1024,"write_buffer_size":1024,"check_origin":false,"ping_period":"54s","pong_wait":"60s","write_wait":"10s","max_message_size":512},
  "grpc":{"host":"0.0.0.0","port":9090,"max_recv_msg_size":4194304,"max_send_msg_size":4194304,"enable_reflection":true}}}`
	type socket struct {
		ReadBuffer  conf.ByteSize `json:"read_buffer_size"`
		WriteBuffer conf.ByteSize `json:"write_buffer_size"`
		CheckOrigin bool          `json:"check_origin"`
		PingPeriod  time.Duration `json:"ping_period"`
		PongWait    time.Duration `json:"pong_wait"`
		WriteWait   time.Duration `json:"write_wait"`
		MaxMessage  conf.ByteSize `json:"max_message_size"`
	}
	root := parse(t, document)
	if err := root.Only("communication", "providers"); err != nil {
		t.Error(err)
	}
	providers, err := root.Section("providers")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "providers", slices.Collect(providers.Keys()), []string{"http", "websocket", "grpc"})
	section, err := providers.Section("websocket")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "path", section.Path(), "providers.websocket")
	got := socket{CheckOrigin: true}
	if err := section.Decode(&got); err != nil {
		t.Fatal(err)
	}
	same(t, "websocket", got, socket{1024, 1024, false, 54 * time.Second, time.Minute, 10 * time.Second, 512})
	if absent, err := providers.Section("sse"); absent != nil || err != nil {
		t.Errorf("absent section: %v, %v", absent, err)
	}
}

func TestDecodeEveryKind(t *testing.T) {
	t.Parallel()
	got := defaults()
	err := parse(t, `{"host":"h","port":8080,"small":-128,"unsigned":65535,"ratio":0.5,"enabled":true,"timeout":"1m30s",
		"buffer":"64KiB","mode":"safe","origins":["a","b"],"proxies":["10.0.0.0/8","::1/128"],"optional":7,
		"tls":{"cert":"new"},"client":{"key":"mine"}}`).Decode(&got)
	if err != nil {
		t.Fatal(err)
	}
	seven := 7
	same(t, "config", got, config{
		common: common{"h"}, Port: 8080, Small: -128, Unsigned: 65535, Ratio: .5, Enabled: true, Timeout: 90 * time.Second,
		Buffer: 64 << 10, Mode: "safe", Origins: []string{"a", "b"},
		Proxies:  []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		Optional: &seven, TLS: tlsConfig{"new", "k"}, Client: &tlsConfig{Key: "mine"},
	})
}

// Only keys that are present override, and what several configs share is never written into.
func TestDecodeKeepsTheRest(t *testing.T) {
	t.Parallel()
	base := defaults()
	got := base
	if err := parse(t, `{"origins":["x"],"optional":5}`).Decode(&got); err != nil {
		t.Fatal(err)
	}
	same(t, "shared list", base.Origins, []string{"default"})
	same(t, "shared pointer", *base.Optional, 1)
	same(t, "optional", *got.Optional, 5)
	want := defaults()
	want.Origins, want.Optional = got.Origins, got.Optional
	same(t, "rest", got, want)
	if err := parse(t, `{"optional":null}`).Decode(&got); err != nil || got.Optional != nil {
		t.Errorf("null takes an optional value away: %v, %v", got.Optional, err)
	}
	var absent *conf.Section
	if err := absent.Decode(&got); err != nil {
		t.Errorf("absent section: %v", err)
	}
}

func TestDecodeProblems(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, document, want string
		is                   error
	}{
		{"unknown", `{"prot":1}`, `1:2: prot: unknown key (did you mean "port"?)`, conf.ErrUnknown},
		{"unknown, far", `{"elephant":1}`, `1:2: elephant: unknown key`, conf.ErrUnknown},
		{"unknown by case", `{"Port":1}`, `1:2: Port: unknown key (did you mean "port"?)`, conf.ErrUnknown},
		{"untagged", `{"Untagged":"x"}`, `1:2: Untagged: unknown key`, conf.ErrUnknown},
		{"quoted key", `{"a.b\n":1}`, `1:2: "a.b\n": unknown key`, conf.ErrUnknown},
		{"nested", "{\n \"tls\": {\n  \"crt\": \"x\"}}", `3:3: tls.crt: unknown key (did you mean "cert"?)`, conf.ErrUnknown},
		{"type", `{"port":"80"}`, `1:9: port: want a whole number, found a string`, conf.ErrType},
		{"fraction", `{"port":1.5}`, `1:9: port: "1.5": want a whole number`, conf.ErrValue},
		{"range", `{"port":70000}`, `1:9: port: 70000: allowed are 0 to 65535`, conf.ErrValue},
		{"range of the kind", `{"small":128}`, `1:10: small: 128: allowed are -128 to 127`, conf.ErrValue},
		{"negative unsigned", `{"unsigned":-1}`, `1:13: unsigned: -1: allowed are 0 to 65535`, conf.ErrValue},
		{"float", `{"ratio":1.5}`, `1:10: ratio: 1.5: allowed is 1 or less`, conf.ErrValue},
		{"float range", `{"ratio":1e999}`, `1:10: ratio: 1e999: out of range`, conf.ErrValue},
		{"bool", `{"enabled":1}`, `1:12: enabled: want true or false, found a number`, conf.ErrType},
		{"null", `{"host":null}`, `1:9: host: want a string, found null`, conf.ErrType},
		{"bare duration", `{"timeout":30}`, `1:12: timeout: want a duration such as "30s", found a number`, conf.ErrType},
		{"bad duration", `{"timeout":"30"}`, `1:12: timeout: "30": want a duration such as "30s" or "1m30s"`, conf.ErrValue},
		{"short duration", `{"timeout":"1us"}`, `1:12: timeout: 1µs: allowed is 1ms or more`, conf.ErrValue},
		{"bad size", `{"buffer":"4 MiB"}`, `1:11: buffer: "4 MiB": want a size such as "4MiB", "64KiB", "10MB" or a number of bytes`, conf.ErrValue},
		{"large size", `{"buffer":"2MiB"}`, `1:11: buffer: 2MiB: allowed are 1 to 1MiB`, conf.ErrValue},
		{"one of", `{"mode":"quick"}`, `1:9: mode: "quick": allowed are fast, safe`, conf.ErrValue},
		{"list", `{"origins":"a"}`, `1:12: origins: want a list, found a string`, conf.ErrType},
		{"list item", `{"origins":["a",1]}`, `1:17: origins[1]: want a string, found a number`, conf.ErrType},
		{"section", `{"tls":[]}`, `1:8: tls: want an object, found a list`, conf.ErrType},
		{"optional", `{"optional":0}`, `1:13: optional: 0: allowed is 1 or more`, conf.ErrValue},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := defaults()
			err := parse(t, test.document).Decode(&got)
			same(t, "error", lines(err), []string{"config.json:" + test.want})
			if !errors.Is(err, test.is) {
				t.Errorf("%v is not %v", err, test.is)
			}
			same(t, "config", got, defaults())
		})
	}
}

func TestProblemsOfTextTypesKeepTheirCause(t *testing.T) {
	t.Parallel()
	var c config
	err := parse(t, `{"proxies":["10.0.0.0/99"]}`).Decode(&c)
	var e *conf.Error
	if !errors.As(err, &e) || e.Path != "proxies[0]" || e.Line != 1 || e.Column != 13 {
		t.Errorf("%v, %+v", err, e)
	}
}

// One report holds everything, in the order of the document.
func TestAllProblemsTogether(t *testing.T) {
	t.Parallel()
	s, parseErr := conf.Parse("config.json", []byte(`{
  "timeout": 30,
  "host": "a",
  "host": "b",
  "tls": {"crt": "x", "key": 1},
  "port": "x",
} trailing`))
	var c config
	err := errors.Join(parseErr, s.Decode(&c))
	same(t, "report", lines(err), []string{
		`config.json:4:3: host: duplicate key, first at line 3`,
		`config.json:7:1: not valid JSON: want a key in quotes, found '}'`,
		`config.json:2:14: timeout: want a duration such as "30s", found a number`,
		`config.json:5:11: tls.crt: unknown key (did you mean "cert"?)`,
		`config.json:5:30: tls.key: want a string, found a number`,
		`config.json:6:11: port: want a whole number, found a string`,
	})
	all := conf.Errors(err)
	same(t, "typed", len(all), 6)
	same(t, "third", *all[3], conf.Error{Source: "config.json", Path: "tls.crt", Line: 5, Column: 11, Nearest: "cert", Err: all[3].Err})
}

func TestReportIsBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`{"a":0`)
	for range 5000 {
		b.WriteString(`,"a":0`)
	}
	b.WriteString(`}`)
	s, parseErr := conf.Parse("big", []byte(b.String()))
	for _, err := range []error{parseErr, s.Decode(new(config))} {
		report := lines(err)
		if len(report) != 101 || !strings.HasPrefix(report[100], "and 490") {
			t.Errorf("%d lines, last %q", len(report), report[len(report)-1])
		}
	}
	if _, err := conf.Parse("big", make([]byte, conf.MaxSize+1)); !errors.Is(err, conf.ErrValue) {
		t.Errorf("a document past the limit: %v", err)
	}
}

func TestSections(t *testing.T) {
	t.Parallel()
	root := parse(t, `{"providers":{"htpp":{},"ws":1},
 "http":{"tls":{"cert":"c"}}}`)
	providers, _ := root.Section("providers")
	same(t, "only", lines(providers.Only("http", "websocket", "sse")), []string{
		`config.json:1:15: providers.htpp: unknown key (did you mean "http"?)`,
		`config.json:1:25: providers.ws: unknown key`,
	})
	if _, err := providers.Section("ws"); !errors.Is(err, conf.ErrType) {
		t.Errorf("a number as a section: %v", err)
	}
	http, _ := root.Section("http")
	cause := errors.New("no such file")
	for key, want := range map[string]string{
		"tls.cert": `config.json:2:24: http.tls.cert: no such file`,
		"tls.key":  `config.json:2:16: http.tls.key: no such file`,
		"port":     `config.json:2:9: http.port: no such file`,
	} {
		err := http.Error(key, cause)
		same(t, key, err.Error(), want)
		if !errors.Is(err, cause) {
			t.Error("cause lost")
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	c := defaults()
	if err := conf.Check("options", &c); err != nil {
		t.Error(err)
	}
	c.Port, c.Timeout, *c.Optional, c.Mode = -1, 0, 0, ""
	same(t, "report", lines(conf.Check("options", &c)), []string{
		`options: port: -1: allowed are 0 to 65535`,
		`options: timeout: 0s: allowed is 1ms or more`,
		`options: mode: "": allowed are fast, safe`,
		`options: optional: 0: allowed is 1 or more`,
	})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	got, err := conf.Keys(new(config))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "keys", got, []string{
		"host", "port", "small", "unsigned", "ratio", "enabled", "timeout", "buffer", "mode",
		"origins", "proxies", "optional", "tls.cert", "tls.key", "client.cert", "client.key",
	})
}

type loop struct {
	Next *loop `json:"next"`
}

// structOf makes a struct of int fields that all have the key "key", which vet refuses to see written out.
func structOf(names ...string) any {
	var fs []reflect.StructField
	for _, name := range names {
		f := reflect.StructField{Name: name, Type: reflect.TypeFor[int](), Tag: `json:"key"`}
		if name[0] >= 'a' {
			f.PkgPath = "conf_test"
		}
		fs = append(fs, f)
	}
	return reflect.New(reflect.StructOf(fs)).Interface()
}

// A struct that cannot be filled is the program's mistake; it is told so, without a panic.
func TestBadStructs(t *testing.T) {
	t.Parallel()
	type embedded struct {
		*common
	}
	env, err := conf.NewEnv([]string{"HTTP_KEY=1"}, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, dst := range map[string]any{
		"nil":          nil,
		"nil pointer":  (*config)(nil),
		"value":        config{},
		"not a struct": new(int),
		"channel": &struct {
			Key chan int `json:"key"`
		}{},
		"map": &struct {
			Key map[string]int `json:"key"`
		}{},
		"unexported":       structOf("key"),
		"twice":            structOf("A", "B"),
		"embedded pointer": &embedded{},
		"contains itself":  &loop{},
		"nested": &struct {
			In struct {
				Key any `json:"key"`
			} `json:"in"`
		}{},
	} {
		for what, err := range map[string]error{
			"section": parse(t, `{}`).Decode(dst), "env": env.Decode("http", dst), "check": conf.Check("", dst),
		} {
			if !errors.Is(err, conf.ErrStruct) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
	bounds := &struct {
		Key int `json:"key" min:"x"`
	}{}
	if err := parse(t, `{"key":1}`).Decode(bounds); !errors.Is(err, conf.ErrStruct) {
		t.Errorf("bad bound: %v", err)
	}
}

func TestByteSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]conf.ByteSize{
		"0": 0, "512": 512, "1B": 1, "64KiB": 64 << 10, "4MiB": 4 << 20, "1GiB": 1 << 30, "2TiB": 2 << 40,
		"1kB": 1000, "1KB": 1000, "10MB": 1e7, "1GB": 1e9, "1TB": 1e12, "9223372036854775807": 1<<63 - 1,
	} {
		got, err := conf.ParseByteSize(text)
		if err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
		if back, err := conf.ParseByteSize(got.String()); err != nil || back != got {
			t.Errorf("%s: String gives %s, which reads as %d, %v", text, got, back, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "+1", "1.5MiB", "1 MiB", "1mib", "1M", "9223372036854775808", "9007199254740992KiB", "1EiB"} {
		if got, err := conf.ParseByteSize(text); err == nil {
			t.Errorf("%q: read as %d", text, got)
		}
	}
	if b, err := conf.ByteSize(4 << 20).MarshalText(); err != nil || string(b) != "4MiB" {
		t.Errorf("%s, %v", b, err)
	}
}
