package commhttp_test

import (
	"strings"
	"testing"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
)

// A host or port at which nothing can listen is refused before anything starts, with what is allowed.
func TestBadAddresses(t *testing.T) {
	t.Parallel()
	file := func(section string) comm.Option {
		return comm.WithConfigJSON("test.json", []byte(`{"providers":{"http":{`+section+`}}}`))
	}
	env := func(v string) comm.Option { return comm.WithEnviron([]string{v}, "") }
	none := comm.WithLogger(quiet)
	for _, c := range []struct {
		name   string
		source comm.Option
		opts   []commhttp.Option
		want   string
	}{
		{"brackets", file(`"host":"[::1]","port":0`), nil, `test.json:1:30: providers.http.host: "[::1]": allowed are a host name and an IP address`},
		{"space", file(`"host":"a b"`), nil, `providers.http.host: "a b": allowed are`},
		{"port in the host", file(`"host":"localhost:80"`), nil, `"127.0.0.1" and "::1"`},
		{"port", file(`"port":65536`), nil, `providers.http.port: 65536: allowed are 0 to 65535`},
		{"environment", env("HTTP_HOST=[::1]"), nil, `HTTP_HOST: "[::1]": allowed are`},
		{"option", none, []commhttp.Option{commhttp.WithAddr("a b:80")}, `host: "a b": allowed are`},
		{"IPv6", file(`"host":"::1","port":0`), nil, ""},
		{"option over a file", file(`"host":"::2","port":1`), []commhttp.Option{commhttp.WithAddr("[::1]:0")}, ""},
		{"IPv6 as an option", none, []commhttp.Option{commhttp.WithAddr("[::1]:0")}, ""},
	} {
		p := commhttp.New(c.opts...)
		_, err := comm.New(comm.WithLogger(quiet), c.source, comm.WithProvider(p))
		switch {
		case c.want == "" && (err != nil || p.Address() != "[::1]:0"):
			t.Errorf("%s: %q, %v", c.name, p.Address(), err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Port 0 on every interface is an address of the provider's own, as any other that WithAddr gives.
func TestAnyPort(t *testing.T) {
	t.Parallel()
	p := commhttp.New(commhttp.WithAddr(":0"))
	must(comm.New(comm.WithLogger(quiet), comm.WithProvider(p)))
	equal(t, "address", p.Address(), ":0")
	shared := commhttp.New()
	must(comm.New(comm.WithLogger(quiet), comm.WithProvider(shared)))
	equal(t, "address without the option", shared.Address(), "")
}
