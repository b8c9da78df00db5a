package commgrpc

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	"github.com/anasamu/comm"
)

// Option is a setting of [New].
type Option interface{ apply(*Provider) error }

type option func(*Provider) error

func (o option) apply(p *Provider) error { return o(p) }

// set is an option that changes the configuration, where comm.New checks the value.
func set(f func(c *Config)) Option {
	return option(func(p *Provider) error { f(&p.conf); return nil })
}

// refuse is the error of an option whose value is not allowed.
func refuse(name string, value any, allowed string) error {
	return fmt.Errorf("commgrpc: %s(%v): %s is needed", name, value, allowed)
}

// Register adds services: in f call the generated RegisterXServer functions. It may be given any number of times; f is
// called once, by comm.New. A service of grpc.health.v1 or grpc.reflection.v1 takes the place of the provider's own, and is
// as public.
func Register(f func(grpc.ServiceRegistrar)) Option {
	return option(func(p *Provider) error { return p.services.call(f) })
}

// WithAddr gives the provider an address of its own, host:port, where an empty host is every interface and port 0 a
// free one. The default is the manager's address.
func WithAddr(addr string) Option {
	return option(func(p *Provider) error {
		host, port, err := net.SplitHostPort(addr)
		n, err2 := strconv.ParseUint(port, 10, 16)
		if err != nil || err2 != nil {
			return refuse("WithAddr", strconv.Quote(addr), "host:port with a port of 0 to 65535")
		}
		p.addr, p.conf.Host, p.conf.Port = addr, host, int(n)
		return nil
	})
}

// WithHost and [WithPort] set the provider's own address in two parts, as a configuration file does. Without both it is
// served on the manager's.
func WithHost(host string) Option {
	return option(func(p *Provider) error { p.addr, p.conf.Host = "", host; return nil })
}

// WithPort sets the port of the provider's own address, 0 to 65535; see [WithHost].
func WithPort(port int) Option {
	return option(func(p *Provider) error { p.addr, p.conf.Port = "", port; return nil })
}

// WithMaxRecvMsgSize bounds one message of a client, after decompression; a larger one is RESOURCE_EXHAUSTED. The
// default is 4 MiB.
func WithMaxRecvMsgSize(bytes int) Option {
	return set(func(c *Config) { c.MaxRecvMsgSize = comm.ByteSize(bytes) })
}

// WithMaxSendMsgSize bounds one message to a client, before compression; a larger one is RESOURCE_EXHAUSTED. The
// default is 4 MiB.
func WithMaxSendMsgSize(bytes int) Option {
	return set(func(c *Config) { c.MaxSendMsgSize = comm.ByteSize(bytes) })
}

// WithMaxHeaderSize bounds a call's metadata, 1 KiB to 16 MiB; libraries refuse to send more. The default is 64 KiB, and
// the first call of a connection never has more.
func WithMaxHeaderSize(bytes int) Option {
	return set(func(c *Config) { c.MaxHeaderSize = comm.ByteSize(bytes) })
}

// WithMaxConcurrentStreams bounds the calls under way on one connection; clients wait with more. The default is 250.
func WithMaxConcurrentStreams(n int) Option {
	return set(func(c *Config) { c.MaxConcurrentStreams = n })
}

// WithMaxConnections bounds the connections of gRPC's native transport; one more is refused. The default is 10,000.
func WithMaxConnections(n int) Option { return set(func(c *Config) { c.MaxConnections = n }) }

// WithMaxConnectionsPerAddr is the same bound for one address (IPv6: one /64). The default is 1,000.
func WithMaxConnectionsPerAddr(n int) Option {
	return set(func(c *Config) { c.MaxConnectionsPerAddr = n })
}

// WithCallRate bounds the calls a second of one address (IPv6: of one /64), and how many may come at once; a burst of 0
// is twice the rate. One more is RESOURCE_EXHAUSTED, with a hint to clients when to try again. The default is no bound.
func WithCallRate(perSecond, burst int) Option {
	return set(func(c *Config) { c.CallRate, c.CallBurst = perSecond, burst })
}

// WithNative has gRPC's own transport serve the connections of gRPC libraries, which is the default. False has net/http
// serve all calls, at a third of the speed: for proxies that mix the calls of such libraries with other requests on one
// connection and add no header, such as X-Forwarded-For or Via, by which they could be told.
func WithNative(on bool) Option { return set(func(c *Config) { c.EnableNative = on }) }

// WithReflection serves grpc.reflection.v1, by which tools such as grpcurl find services, to everybody. The default is true.
func WithReflection(on bool) Option { return set(func(c *Config) { c.EnableReflection = on }) }

// WithChannelz serves grpc.channelz.v1, which shows connections and calls of all the process, to whom the authorizer
// allows it. The default is false. True needs the import of package grpc/channelz, for what it collects has a cost.
func WithChannelz(on bool) Option { return set(func(c *Config) { c.EnableChannelz = on }) }

// WithKeepalive sets after how long a silence a client is pinged, and how long it then has to answer: 1 s or more, or 0
// for the manager's heartbeat and write timeout, which are the defaults.
func WithKeepalive(period, timeout time.Duration) Option {
	return set(func(c *Config) { c.KeepaliveTime, c.KeepaliveTimeout = period, timeout })
}

// WithMinPingInterval sets how often a client may ping; one that does so more often is sent away with
// ENHANCE_YOUR_CALM. The default is 5 s.
func WithMinPingInterval(d time.Duration) Option {
	return set(func(c *Config) { c.MinPingInterval = d })
}

// WithMaxConnectionIdle ends a connection after so long without a call. The default, 0, is never.
func WithMaxConnectionIdle(d time.Duration) Option {
	return set(func(c *Config) { c.MaxConnectionIdle = d })
}

// WithMaxConnectionAge tells each client after that time, a random tenth more or less, to connect anew, so that
// balancers can spread the load, and ends what then takes longer than grace, where that is not 0. The default of both,
// 0, is never.
func WithMaxConnectionAge(age, grace time.Duration) Option {
	return set(func(c *Config) { c.MaxConnectionAge, c.MaxConnectionAgeGrace = age, grace })
}

// WithUnaryInterceptors adds interceptors around unary calls; the first is the outermost. They run once the call is
// allowed: inside the provider's own (recovery, trace, log, metrics, identity, authorizer).
func WithUnaryInterceptors(list ...grpc.UnaryServerInterceptor) Option {
	return option(func(p *Provider) error {
		if slices.ContainsFunc(list, func(i grpc.UnaryServerInterceptor) bool { return i == nil }) {
			return refuse("WithUnaryInterceptors", nil, "interceptors")
		}
		p.unary = append(p.unary, list...)
		return nil
	})
}

// WithStreamInterceptors is [WithUnaryInterceptors] for streams.
func WithStreamInterceptors(list ...grpc.StreamServerInterceptor) Option {
	return option(func(p *Provider) error {
		if slices.ContainsFunc(list, func(i grpc.StreamServerInterceptor) bool { return i == nil }) {
			return refuse("WithStreamInterceptors", nil, "interceptors")
		}
		p.stream = append(p.stream, list...)
		return nil
	})
}

// WithStatsHandler adds a stats handler, for example that of OpenTelemetry.
func WithStatsHandler(h stats.Handler) Option {
	return option(func(p *Provider) error {
		if h == nil {
			return refuse("WithStatsHandler", nil, "a handler")
		}
		p.stats = append(p.stats, h)
		return nil
	})
}

// WithUnknownService handles calls of services and methods that are not registered, for proxies. The authorizer is asked
// about each. Such calls go to the handler whatever connection they come on, unless another provider has a route for
// their path, other than one for every path. [Forward] is a handler that passes them on to another server. One of your
// own that receives and sends messages of type *[]byte has them as they are on the wire, in whatever codec.
//
// Without it the status of such calls is UNIMPLEMENTED. Clients whose connection is net/http's make that of the answer
// 404, where the service is not registered.
func WithUnknownService(h grpc.StreamHandler) Option {
	return option(func(p *Provider) error {
		if h == nil {
			return refuse("WithUnknownService", nil, "a handler")
		}
		p.unknown = h
		return nil
	})
}

// WithPublicMethods names methods that everybody may call: "/pkg.Service/Method", or "/pkg.Service/*" for all of a
// service. Neither the authenticator nor the authorizer is asked about them, and their handlers see no identity.
// Health is always public, and reflection where it is served. The hub's methods never are: it asks for each what the
// caller wants to do.
func WithPublicMethods(methods ...string) Option {
	return option(func(p *Provider) error {
		for _, m := range methods {
			service, method, ok := splitMethod(m)
			if !ok || service == "" || method == "" || strings.ContainsAny(service, "*/") || strings.Contains(method, "*") && method != "*" {
				return refuse("WithPublicMethods", strconv.Quote(m), "/pkg.Service/Method or /pkg.Service/*")
			}
		}
		p.public = append(p.public, methods...)
		return nil
	})
}

// WithServerOptions adds options of grpc-go that have no own one here. They come after the provider's, so they win, but
// for credentials and the handler of unknown services, which are ignored: see [WithTLS] and [WithUnknownService]. The hub,
// and calls in other codecs than Protocol Buffers, need the codec that is there; the hub's limits are those of
// [WithMaxRecvMsgSize] and [WithMaxSendMsgSize].
// An interceptor that is set by grpc.UnaryInterceptor or grpc.StreamInterceptor runs before the provider's own, for
// calls that nobody has allowed yet. grpc-go's conflicts of options are an error of the start.
func WithServerOptions(list ...grpc.ServerOption) Option {
	return option(func(p *Provider) error {
		if slices.ContainsFunc(list, func(o grpc.ServerOption) bool { return o == nil }) {
			return refuse("WithServerOptions", nil, "options")
		}
		p.server = append(p.server, list...)
		return nil
	})
}

var errOneManager = errors.New("commgrpc: a provider serves one manager")
