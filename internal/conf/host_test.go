package conf_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/anasamu/comm/internal/conf"
)

type listener struct {
	Host string `json:"host" format:"host"`
}

// A host that cannot stand before a port is refused in every layer, by what is allowed.
func TestHosts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 63)
	for host, ok := range map[string]bool{
		"": true, "localhost": true, "127.0.0.1": true, "0.0.0.0": true, "::1": true, "::": true, "fe80::1%eth0": true,
		"gateway.example.com": true, "gateway.example.com.": true, "my_service": true, "a-1": true, "1a": true, "XN--4CA": true,
		long: true, strings.Repeat("a.", 126) + "a": true,

		"[::1]": false, "a b": false, " ": false, "localhost:80": false, "http://localhost": false, "127.1": false, "256.0.0.1": false,
		"1": false, ".": false, "a..b": false, ".a": false, "-a": false, "a-": false, "ä": false, "*": false, "a/b": false, "::1/128": false,
		"127.0.0.1\n": false, long + "a": false, strings.Repeat("a.", 127) + "a": false,
	} {
		env, err := conf.NewEnv([]string{"HTTP_HOST=" + host}, "")
		if err != nil {
			t.Fatal(err)
		}
		section, err := conf.Parse("config.json", fmt.Appendf(nil, `{"host":%q}`, host))
		if err != nil {
			t.Fatal(err)
		}
		var got listener
		for layer, err := range map[string]error{
			"file": section.Decode(&got), "environment": env.Decode("http", &got), "options": conf.Check("options", &listener{host}),
		} {
			if (err == nil) != ok || err != nil && (!errors.Is(err, conf.ErrValue) || !strings.Contains(err.Error(), `"::1"`)) {
				t.Errorf("%s: %q: %v", layer, host, err)
			}
		}
		if ok && got.Host != host {
			t.Errorf("%q was read as %q", host, got.Host)
		}
	}
	bad := &struct {
		Port int `json:"port" format:"host"`
	}{}
	if err := conf.Check("options", bad); !errors.Is(err, conf.ErrStruct) {
		t.Errorf("a format of another kind: %v", err)
	}
}

// A plain integer whose unit is bytes is written as a ByteSize is, and bounded all the same.
func TestUnitBytes(t *testing.T) {
	t.Parallel()
	type limits struct {
		Bytes int   `json:"bytes" min:"64" max:"1GiB" unit:"bytes"`
		Small int16 `json:"small" unit:"bytes"`
		Count int   `json:"count"`
	}
	for _, test := range []struct {
		key, value string
		want       int64 // 0: refused
		problem    string
	}{
		{"bytes", "1MiB", 1 << 20, ""},
		{"bytes", "12345", 12345, ""},
		{"bytes", "63", 0, "63B: allowed are 64 to 1GiB"},
		{"bytes", "2GiB", 0, "2GiB: allowed are 64 to 1GiB"},
		{"bytes", "1 MiB", 0, `"1 MiB": want a size such as "4MiB", "64KiB", "10MB" or a number of bytes`},
		{"small", "31KiB", 31 << 10, ""},
		{"small", "32KiB", 0, "32KiB: out of range"},
		{"count", "1KiB", 0, ""},
	} {
		env, err := conf.NewEnv([]string{"A_" + strings.ToUpper(test.key) + "=" + test.value}, "")
		if err != nil {
			t.Fatal(err)
		}
		var inFile, inEnv limits
		fileErr := parse(t, fmt.Sprintf(`{%q:%q}`, test.key, test.value)).Decode(&inFile)
		envErr := env.Decode("a", &inEnv)
		for layer, c := range map[string]struct {
			err error
			got limits
		}{"file": {fileErr, inFile}, "environment": {envErr, inEnv}} {
			got := map[string]int64{"bytes": int64(c.got.Bytes), "small": int64(c.got.Small)}[test.key]
			switch {
			case test.want != 0 && (c.err != nil || got != test.want):
				t.Errorf("%s: %s: %d, %v", layer, test.value, got, c.err)
			case test.want == 0 && (c.err == nil || !strings.HasSuffix(c.err.Error(), test.problem) || c.got != limits{}):
				t.Errorf("%s: %s: %+v, %v", layer, test.value, c.got, c.err)
			}
		}
	}
	got := limits{}
	if err := parse(t, `{"bytes":4096}`).Decode(&got); err != nil || got.Bytes != 4096 {
		t.Errorf("a bare number: %d, %v", got.Bytes, err)
	}
}
