package commgrpc

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/limit"
)

// maxRateKeys bounds the addresses whose calls are counted.
const maxRateKeys = 1 << 16

// makeRate makes the limiter of calls, where there is to be one.
func (p *Provider) makeRate() error {
	c := &p.conf
	if c.CallRate <= 0 {
		if c.CallBurst > 0 {
			return errors.New("commgrpc: call_burst: needs call_rate")
		}
		return nil
	}
	rate, err := limit.NewRate(c.CallRate, time.Second, orElse(c.CallBurst, 2*c.CallRate))
	if err == nil {
		p.rate, err = limit.NewLimiter[netip.Prefix](rate, maxRateKeys)
	}
	if err != nil {
		return fmt.Errorf("commgrpc: call_rate: %w", err)
	}
	return nil
}

// limited counts a call against the rate of its client's address.
func (g *guard) limited(c *call) error {
	if g.rate == nil {
		return nil
	}
	ok, retry := g.rate.Allow(limit.NetAddrKey(c.caller.Addr), 1, time.Now())
	if ok {
		return nil
	}
	// Clients that retry by themselves wait for so long (gRFC A6).
	ms := strconv.FormatInt(max(1, int64((retry+time.Millisecond-1)/time.Millisecond)), 10)
	_ = grpc.SetTrailer(c.Context, metadata.Pairs("grpc-retry-pushback-ms", ms))
	return refusal(&comm.LimitError{Limit: "calls per second and address", Max: g.callRate, Retry: retry})
}
