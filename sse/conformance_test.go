package sse_test

import (
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/commtest"
	"github.com/anasamu/comm/sse"
)

func TestConformance(t *testing.T) {
	t.Run("response", func(t *testing.T) { conform(t) })
	t.Run("hijacked", func(t *testing.T) { conform(t, sse.WithHijack()) })
}

func conform(t *testing.T, opts ...sse.ProviderOption) {
	commtest.Run(t, func(*testing.T) commtest.Setup {
		return commtest.Setup{
			Provider: sse.New(opts...),
			Dialer: func(e commtest.Endpoint) comm.Dialer {
				return sse.Dialer(e.URL("http", "/events"), dialOptions(e)...)
			},
			SendRaw:      sse.SendRaw,
			Backpressure: true,
		}
	})
}

func dialOptions(e commtest.Endpoint) []sse.DialOption {
	opts := []sse.DialOption{sse.WithDialContext(e.DialContext)}
	if e.TLS != nil {
		opts = append(opts, sse.WithTLS(e.TLS))
	}
	return opts
}
