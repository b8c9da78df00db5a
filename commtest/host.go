package commtest

import (
	"context"
	"log/slog"
	"testing"

	"github.com/anasamu/comm"
)

// NewHost makes a Host for a provider's unit tests: that of a provider with the given name on a
// manager in memory, which ends with the test. Host.Manager leads to everything else. Options go to
// comm.New; a bad one fails the test.
func NewHost(t testing.TB, name string, opts ...comm.Option) comm.Host {
	t.Helper()
	p := &hosted{name: name}
	all := append([]comm.Option{
		comm.WithInMemory(), comm.WithAddr("127.0.0.1:0"),
		comm.WithLogger(slog.New(slog.DiscardHandler)),
	}, opts...)
	m, err := comm.New(append(all, comm.WithProvider(p))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p.host
}

// hosted is a provider that does nothing but hold its Host.
type hosted struct {
	name string
	host comm.Host
}

func (p *hosted) Name() string                 { return p.name }
func (p *hosted) Features() []comm.Feature     { return nil }
func (p *hosted) Stop(context.Context) error   { return nil }
func (p *hosted) Health(context.Context) error { return nil }
func (p *hosted) Start(_ context.Context, h comm.Host) error {
	p.host = h
	return nil
}
