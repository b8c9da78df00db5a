package comm

import "time"

// shapes are the keys of the known protocols, by which the section of one that is not registered is
// checked for names and types. A registered provider checks its own.
var shapes = map[string]func() any{
	"http": func() any {
		return &struct {
			Host         string        `json:"host"`
			Port         int           `json:"port" min:"0" max:"65535"`
			ReadTimeout  time.Duration `json:"read_timeout"`
			WriteTimeout time.Duration `json:"write_timeout"`
			IdleTimeout  time.Duration `json:"idle_timeout"`
		}{}
	},
	"websocket": func() any {
		return &struct {
			ReadBufferSize  ByteSize      `json:"read_buffer_size"`
			WriteBufferSize ByteSize      `json:"write_buffer_size"`
			CheckOrigin     bool          `json:"check_origin"`
			PingPeriod      time.Duration `json:"ping_period"`
			PongWait        time.Duration `json:"pong_wait"`
			WriteWait       time.Duration `json:"write_wait"`
			MaxMessageSize  ByteSize      `json:"max_message_size"`
		}{}
	},
	"sse": func() any {
		return &struct {
			Host              string        `json:"host"`
			Port              int           `json:"port" min:"0" max:"65535"`
			HeartbeatInterval time.Duration `json:"heartbeat_interval"`
			MaxConnections    int           `json:"max_connections"`
		}{}
	},
	"grpc": func() any {
		return &struct {
			Host             string   `json:"host"`
			Port             int      `json:"port" min:"0" max:"65535"`
			MaxRecvMsgSize   ByteSize `json:"max_recv_msg_size"`
			MaxSendMsgSize   ByteSize `json:"max_send_msg_size"`
			EnableReflection bool     `json:"enable_reflection"`
		}{}
	},
	"quic": func() any {
		return &struct {
			Host             string        `json:"host"`
			Port             int           `json:"port" min:"0" max:"65535"`
			MaxStreams       int           `json:"max_streams"`
			MaxIdleTimeout   time.Duration `json:"max_idle_timeout"`
			KeepAlivePeriod  time.Duration `json:"keep_alive_period"`
			HandshakeTimeout time.Duration `json:"handshake_timeout"`
			StreamWindow     ByteSize      `json:"stream_window"`
			ConnectionWindow ByteSize      `json:"connection_window"`
			MaxLanes         int           `json:"max_lanes"`
			LargeMessage     ByteSize      `json:"large_message"`
			RetryRate        int           `json:"retry_rate"`
			MaxPerAddr       int           `json:"max_connections_per_addr"`
			QlogDir          string        `json:"qlog_dir"`
			Allow0RTT        bool          `json:"allow_0rtt"`
			HTTP3            bool          `json:"http3"`
			WebTransportPath string        `json:"webtransport_path"`
			MaxSessions      int           `json:"max_sessions"`
		}{}
	},
	"graphql": func() any {
		return &struct {
			Host                string `json:"host"`
			Port                int    `json:"port" min:"0" max:"65535"`
			EnableIntrospection bool   `json:"enable_introspection"`
			EnablePlayground    bool   `json:"enable_playground"`
		}{}
	},
}
