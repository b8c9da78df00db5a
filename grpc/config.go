package commgrpc

import (
	"errors"
	"fmt"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/conf"
)

// Config is what the section "grpc" of a configuration file, the variables GRPC_KEY and the options of [New] set. The
// options win over the environment, and that over the file.
type Config struct {
	// Host and Port are an address of the provider's own. Without both it is served on the manager's; a Port alone is
	// on every interface, a Host alone on a free port.
	Host string `json:"host" format:"host"`
	Port int    `json:"port" min:"0" max:"65535"`
	// MaxRecvMsgSize and MaxSendMsgSize bound one message, after decompression and before compression; a larger one is
	// RESOURCE_EXHAUSTED. The defaults are 4 MiB.
	MaxRecvMsgSize comm.ByteSize `json:"max_recv_msg_size" min:"1" max:"2047MiB"`
	MaxSendMsgSize comm.ByteSize `json:"max_send_msg_size" min:"1" max:"2047MiB"`
	// MaxHeaderSize bounds a call's metadata, by the measure of RFC 9113, section 6.5.2. The default is 64 KiB, and the
	// first call of a connection never has more.
	MaxHeaderSize comm.ByteSize `json:"max_header_size" min:"1KiB" max:"16MiB"`
	// MaxConcurrentStreams bounds the calls under way on one connection; clients wait with more. The default is 250.
	MaxConcurrentStreams int `json:"max_concurrent_streams" min:"1" max:"2147483647"`
	// MaxConnections bounds the connections of gRPC's native transport; one more is refused. The default is 10,000.
	MaxConnections int `json:"max_connections" min:"1"`
	// MaxConnectionsPerAddr is the same bound for one address (IPv6: one /64). The default is 1,000.
	MaxConnectionsPerAddr int `json:"max_connections_per_addr" min:"1"`
	// CallRate bounds the calls a second of one address, and CallBurst how many may come at once; one more is
	// RESOURCE_EXHAUSTED and tells when to try again. The default of 0 is no bound; CallBurst is then twice CallRate.
	CallRate  int `json:"call_rate" min:"0" max:"1000000000"`
	CallBurst int `json:"call_burst" min:"0" max:"1000000000"`
	// EnableNative has gRPC's own transport serve the connections of gRPC libraries. False has net/http serve all calls,
	// at a third of the speed: for proxies that mix the calls of such libraries with other requests on one connection and
	// add no header by which they could be told. The default is true.
	EnableNative bool `json:"enable_native"`
	// EnableReflection serves grpc.reflection.v1, by which tools find services and messages. The default is true.
	EnableReflection bool `json:"enable_reflection"`
	// EnableChannelz serves grpc.channelz.v1, which shows connections and calls. The default is false. It needs package
	// grpc/channelz to be imported.
	EnableChannelz bool `json:"enable_channelz"`
	// EnableHubCompression compresses what the hub's streams send, by gzip, to clients of the native transport that take
	// it. It is done anew for each stream, which costs far more processor time than what it sends does. The default is
	// false.
	EnableHubCompression bool `json:"enable_hub_compression"`
	// KeepaliveTime is after how long a silence the client is pinged, 1 s or more. The default is the manager's heartbeat.
	KeepaliveTime time.Duration `json:"keepalive_time" min:"0s"`
	// KeepaliveTimeout is how long the client then has to answer. The default is the manager's write timeout.
	KeepaliveTimeout time.Duration `json:"keepalive_timeout" min:"0s"`
	// MinPingInterval is how often a client may ping; one that does so more often is sent away. The default is 5 s.
	MinPingInterval time.Duration `json:"min_ping_interval" min:"0s"`
	// MaxConnectionIdle is after how long without a call a connection is ended. The default, 0, is never.
	MaxConnectionIdle time.Duration `json:"max_connection_idle" min:"0s"`
	// MaxConnectionAge is after how long a client is told to connect anew, so that balancers can spread the load, with
	// a random tenth more or less. The default, 0, is never.
	MaxConnectionAge time.Duration `json:"max_connection_age" min:"0s"`
	// MaxConnectionAgeGrace is how long calls may then still take. The default, 0, is without bound.
	MaxConnectionAgeGrace time.Duration `json:"max_connection_age_grace" min:"0s"`
}

func defaultConfig() Config {
	return Config{
		MaxRecvMsgSize: 4 << 20, MaxSendMsgSize: 4 << 20, MaxHeaderSize: 64 << 10, MaxConcurrentStreams: 250, MaxConnections: 10_000, MaxConnectionsPerAddr: 1000,
		EnableNative: true, EnableReflection: true, MinPingInterval: 5 * time.Second,
	}
}

// check holds the settings against each other.
func (p *Provider) check() error {
	errs := []error{conf.Check("commgrpc.New", &p.conf)}
	if d := p.conf.KeepaliveTime; d > 0 && d < time.Second {
		errs = append(errs, fmt.Errorf("commgrpc: keepalive_time %v: 1s or more is allowed, or 0 for the manager's heartbeat", d))
	}
	if p.conf.MaxConnectionAgeGrace > 0 && p.conf.MaxConnectionAge == 0 {
		errs = append(errs, errors.New("commgrpc: max_connection_age_grace: needs max_connection_age"))
	}
	if p.conf.EnableChannelz && !p.services.has(channelzName) {
		errs = append(errs, errors.New("commgrpc: enable_channelz: its service is not linked: import _ \"github.com/anasamu/comm/grpc/channelz\""))
	}
	for _, m := range p.unservedPublic() {
		errs = append(errs, fmt.Errorf("commgrpc: WithPublicMethods(%q): no registered service has it", m))
	}
	errs = append(errs, p.makeRate())
	if p.tls != nil && p.Address() == "" {
		errs = append(errs, errors.New("commgrpc: WithTLS: needs an address of the provider's own; use comm.WithTLS for the manager's"))
	}
	return errors.Join(errs...)
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
