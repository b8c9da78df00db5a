package graphql

import (
	"time"

	"github.com/anasamu/comm/internal/conf"
)

// Config is what the section "graphql" of a configuration file, the variables GRAPHQL_KEY and the options
// of [New] set. The options win over the environment, and that over the file.
type Config struct {
	// Host and Port are an address of the provider's own. Without both it is served on the manager's;
	// a Port alone is on every interface, a Host alone on a free port.
	Host string `json:"host" format:"host"`
	Port int    `json:"port" min:"0" max:"65535"`
	// Path is where clients send their requests. The default is /graphql.
	Path string `json:"path"`
	// EnableIntrospection serves __schema and __type. The default is true.
	EnableIntrospection bool `json:"enable_introspection"`
	// EnablePlayground serves a page from which operations can be tried. The default is false.
	EnablePlayground bool `json:"enable_playground"`
	// EnableIncremental serves @defer and @stream; see [WithIncremental]. The default is false.
	EnableIncremental bool `json:"enable_incremental"`
	// MaxBody bounds the body of a request. The default is 1 MiB.
	MaxBody conf.ByteSize `json:"max_body_size" min:"1"`
	// BatchLimit bounds how many requests one body may hold in an array; 0 refuses arrays. The default is 10.
	BatchLimit int `json:"batch_limit" min:"0"`

	// EnableUploads serves multipart requests, which bring files, within the limits below; see [WithUploads],
	// which takes the place of these four. The default is false.
	EnableUploads bool `json:"enable_uploads"`
	// MaxUploadFiles bounds the files of a request. The default is 10.
	MaxUploadFiles int `json:"max_upload_files" min:"1"`
	// MaxUploadSize bounds each of them. The default is 10 MiB.
	MaxUploadSize conf.ByteSize `json:"max_upload_size" min:"1"`
	// MaxUploadTotal bounds the whole body. The default is 50 MiB.
	MaxUploadTotal conf.ByteSize `json:"max_upload_total_size" min:"1"`

	// What one request may cost; see [Limits], whose fields win over these where they are not zero.

	// MaxTokens bounds the tokens of a document. The default is 10,000.
	MaxTokens int `json:"max_tokens" min:"1"`
	// MaxDepth bounds how deep fields nest. The default is 15.
	MaxDepth int `json:"max_depth" min:"1"`
	// MaxAliases bounds the fields with an alias. The default is 50.
	MaxAliases int `json:"max_aliases" min:"1"`
	// MaxSelections bounds the fields. The default is 5,000.
	MaxSelections int `json:"max_selections" min:"1"`
	// MaxCost bounds the sum of the fields' costs. The default is 5,000.
	MaxCost int `json:"max_cost" min:"1"`
	// MaxErrors bounds the errors of a response. The default is 100.
	MaxErrors int `json:"max_errors" min:"1"`
	// MaxResponseSize bounds one response. The default is 16 MiB.
	MaxResponseSize conf.ByteSize `json:"max_response_size" min:"1"`
	// MaxConcurrency bounds the goroutines that call the resolvers of one request. The default is 32.
	MaxConcurrency int `json:"max_concurrency" min:"1"`
	// OperationTimeout ends the context of an operation's resolvers. The default is 30 s.
	OperationTimeout time.Duration `json:"operation_timeout" min:"1ms"`

	// MaxOperations bounds the operations that one WebSocket or event stream may have at once. The default is 100.
	MaxOperations int `json:"max_operations" min:"1"`
	// InitTimeout bounds how long a WebSocket may stay silent before its connection_init. The default is the
	// manager's handshake timeout.
	InitTimeout time.Duration `json:"init_timeout" min:"0s"`
	// KeepAlive is how often a client of the old subprotocol graphql-ws is sent a sign of life. The default is the
	// manager's heartbeat.
	KeepAlive time.Duration `json:"keep_alive" min:"0s"`
}

func defaultConfig() Config {
	l, u := defaultLimits(), defaultUploadLimits()
	return Config{
		Path: "/graphql", EnableIntrospection: true, MaxBody: defaultMaxBody, BatchLimit: defaultBatch,
		MaxUploadFiles: u.Files, MaxUploadSize: conf.ByteSize(u.FileBytes), MaxUploadTotal: conf.ByteSize(u.TotalBytes),
		MaxTokens: l.Tokens, MaxDepth: l.Depth, MaxAliases: l.Aliases, MaxSelections: l.Selections, MaxCost: l.Cost, MaxErrors: l.Errors,
		MaxResponseSize: conf.ByteSize(l.ResponseBytes), MaxConcurrency: l.Concurrency, OperationTimeout: l.Time,
		MaxOperations: defaultOperations,
	}
}

// schemaOptions are those that come before the ones of New.
func (c *Config) schemaOptions() []SchemaOption {
	opts := []SchemaOption{WithIntrospection(c.EnableIntrospection), schemaOption(func(b *builder) { b.configured = c.limits() })}
	if c.EnableIncremental {
		opts = append(opts, WithIncremental())
	}
	return opts
}

func (c *Config) limits() Limits {
	return Limits{
		Tokens: c.MaxTokens, Depth: c.MaxDepth, Aliases: c.MaxAliases, Selections: c.MaxSelections, Cost: c.MaxCost, Errors: c.MaxErrors,
		ResponseBytes: int(c.MaxResponseSize), Concurrency: c.MaxConcurrency, Time: c.OperationTimeout,
	}
}

// handlerOptions are those that come before the ones of New.
func (c *Config) handlerOptions() []HandlerOption {
	opts := []HandlerOption{WithMaxBody(int(c.MaxBody)), WithBatchLimit(c.BatchLimit), WithMaxOperations(c.MaxOperations)}
	if c.EnableUploads {
		opts = append(opts, WithUploads(UploadLimits{Files: c.MaxUploadFiles, FileBytes: int64(c.MaxUploadSize), TotalBytes: int64(c.MaxUploadTotal)}))
	}
	if c.InitTimeout > 0 {
		opts = append(opts, WithInitTimeout(c.InitTimeout))
	}
	if c.KeepAlive > 0 {
		opts = append(opts, WithKeepAlive(c.KeepAlive))
	}
	return opts
}
