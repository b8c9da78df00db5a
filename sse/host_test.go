package sse_test

import (
	"strings"
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/sse"
)

// A host at which nothing can listen is refused before anything starts.
func TestBadHost(t *testing.T) {
	t.Parallel()
	file := func(host string) comm.Option {
		return comm.WithConfigJSON("test.json", []byte(`{"providers":{"sse":{"host":"`+host+`","port":8080}}}`))
	}
	for _, host := range []string{"[::1]", "a b", "localhost:80"} {
		if _, err := comm.New(file(host), comm.WithProvider(sse.New())); err == nil || !strings.Contains(err.Error(), `providers.sse.host: "`+host+`": allowed are`) {
			t.Errorf("%q: %v", host, err)
		}
	}
	if _, err := comm.New(comm.WithProvider(sse.New(sse.WithAddr("a b:80")))); err == nil || !strings.Contains(err.Error(), `host: "a b": allowed are`) {
		t.Errorf("option: %v", err)
	}
	p := sse.New()
	if _, err := comm.New(file("::1"), comm.WithProvider(p)); err != nil || p.Address() != "[::1]:8080" {
		t.Errorf("IPv6: %q, %v", p.Address(), err)
	}
}
