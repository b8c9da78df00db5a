package comm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/anasamu/comm/internal/conf"
	"github.com/anasamu/comm/internal/queue"
)

// ByteSize is a number of bytes that configuration writes as "1MiB", "64KiB" or a plain number.
type ByteSize = conf.ByteSize

// ConfigError is one problem of a configuration file or of the environment: the source, the place in
// it, and the nearest name for an unknown key.
type ConfigError = conf.Error

// Config lists the keys of the manager's configuration: of the section "communication" of a file, and, in capitals, of
// the variables COMMUNICATION_KEY. WithConfigFile and WithEnvironment read them; nothing takes a Config. For each key
// there is an option, of its name or named in it, and whatever is set by both, the option wins.
type Config struct {
	// DefaultProvider is used where a call names no provider. The default is the first one registered.
	DefaultProvider string `json:"default_provider"`
	// MaxConnections bounds all connections together. The default is 100,000.
	MaxConnections int `json:"max_connections" min:"1"`
	// RetryAttempts is how often a provider that fails to start, or that fails later, is tried again
	// before its error ends Run. The default is 3; 0 never tries again.
	RetryAttempts int `json:"retry_attempts" min:"0"`
	// RetryDelay is the longest wait before the first of those attempts; it doubles. The default is 5 s.
	RetryDelay time.Duration `json:"retry_delay" min:"1ms"`
	// Timeout bounds a Call whose context has no deadline. The default is 30 s.
	Timeout time.Duration `json:"timeout" min:"1ms"`

	// Addr is where providers without an address of their own are served. The default is the
	// address of the default provider, and 127.0.0.1:8080 where that has none.
	Addr string `json:"addr"`
	// AllowedOrigins are the web origins besides the same one, such as https://app.example.com,
	// https://*.example.com, or * for any.
	AllowedOrigins []string `json:"allowed_origins"`
	// TrustedProxies are the peers whose X-Forwarded-For is believed: the client that they name is the one
	// that limits and logs are about, for every protocol on HTTP.
	TrustedProxies []netip.Prefix `json:"trusted_proxies"`
	// MaxConnectionsPerUser and MaxConnectionsPerAddr bound what one user, and one address (IPv6: one
	// /64), may hold. The defaults are 100 and 1,000.
	MaxConnectionsPerUser int `json:"max_connections_per_user" min:"1"`
	MaxConnectionsPerAddr int `json:"max_connections_per_addr" min:"1"`
	// HandshakeRate is how many handshakes a second one address may make, with a burst of
	// HandshakeBurst. The defaults are 100 and 1,000.
	HandshakeRate  int `json:"handshake_rate" min:"1"`
	HandshakeBurst int `json:"handshake_burst" min:"1"`
	// MaxHandshakesPerAddr is how many may be under way at once from one address. The default is 256.
	MaxHandshakesPerAddr int `json:"max_handshakes_per_addr" min:"1"`
	// FailedAuthBurst is how many failed authentications one address may have at once; one comes
	// back every six seconds. The default is 20.
	FailedAuthBurst int `json:"failed_auth_burst" min:"1"`
	// MaxMessage bounds one inbound message, in bytes; configuration may write it as "1MiB". The default is 1 MiB.
	MaxMessage int `json:"max_message" min:"64" unit:"bytes"`
	// MessageRate is how many frames a second one connection may send, with a burst of MessageBurst.
	// The defaults are 1,000 and 2,000.
	MessageRate  int `json:"message_rate" min:"1"`
	MessageBurst int `json:"message_burst" min:"1"`
	// MaxGroups bounds the groups of one connection. The default is 64.
	MaxGroups int `json:"max_groups" min:"1"`
	// QueueMessages and QueueBytes bound what waits for one connection; configuration may write the bytes
	// as "1MiB". The defaults are 1,024 and 1 MiB.
	QueueMessages int `json:"queue_messages" min:"1"`
	QueueBytes    int `json:"queue_bytes" min:"1" unit:"bytes"`
	// HandlerConcurrency is how many handlers of one connection run at once. The default of 1 keeps
	// the order of its messages; more gives it up.
	HandlerConcurrency int `json:"handler_concurrency" min:"1"`
	// HandlerTimeout bounds each run of a message handler; see WithHandlerTimeout. The default is 0: no bound.
	HandlerTimeout time.Duration `json:"handler_timeout" min:"0s"`
	// HandshakeTimeout bounds the time until a client has said hello. The default is 10 s.
	HandshakeTimeout time.Duration `json:"handshake_timeout" min:"1ms"`
	// WriteTimeout bounds one write to a client. The default is 10 s.
	WriteTimeout time.Duration `json:"write_timeout" min:"1ms"`
	// Heartbeat is how often a quiet connection gets a sign of life. The default is 25 s.
	Heartbeat time.Duration `json:"heartbeat" min:"10ms"`
	// ResumeWindow is how long a session can be resumed. The default is 5 minutes.
	ResumeWindow time.Duration `json:"resume_window" min:"1ms"`
	// PresenceGrace is how long a lost user counts as present. The default is 10 s; 0 is none.
	PresenceGrace time.Duration `json:"presence_grace" min:"0s"`
	// ExpiryGrace is how long a connection outlives its identity. The default is 30 s.
	ExpiryGrace time.Duration `json:"expiry_grace" min:"0s"`
	// DrainDelay is how long /readyz answers 503 before anything closes. The default is 0.
	DrainDelay time.Duration `json:"drain_delay" min:"0s"`
	// DrainTimeout bounds the drain. The default is 30 s.
	DrainTimeout time.Duration `json:"drain_timeout" min:"1ms"`
	// DrainSpread is the window over which clients are told to come back. The default is 5 s.
	DrainSpread time.Duration `json:"drain_spread" min:"0s"`
	// HealthInterval is how often health is checked. The default is 10 s.
	HealthInterval time.Duration `json:"health_interval" min:"10ms"`

	chosen
}

// chosen is what only options set, and no file can: WithOverflow, WithAuthenticator and so on.
type chosen struct {
	Overflow      Policy
	Authenticator Authenticator
	Authorizer    Authorizer
	OpenAccess    bool
	OnConnect     func(ctx context.Context, hs *Handshake, a *Admission) error
	OnDisconnect  func(c *Conn, d Disconnection)
	OnJoin        func(c *Conn, group string)
	OnLeave       func(c *Conn, group string)
	OnPresence    func(PresenceChange)
	Observer      Observer
	Logger        *slog.Logger
	TLS           *tls.Config
	Store         Store
	LogGroups     bool
	LogUsers      bool
	LogAll        bool
	LogPriority   func(log string) Priority
	InMemory      bool
	middleware    []Middleware
	backplane     Backplane
	clientCAs     *x509.CertPool
	certificates  [][2]string
	developmentCA bool
	insecureTLS12 bool
}

func defaultConfig() Config {
	return Config{
		MaxConnections: 100_000, RetryAttempts: 3, RetryDelay: 5 * time.Second, Timeout: 30 * time.Second,
		MaxConnectionsPerUser: 100, MaxConnectionsPerAddr: 1000,
		HandshakeRate: 100, HandshakeBurst: 1000, MaxHandshakesPerAddr: 256, FailedAuthBurst: 20,
		MaxMessage: 1 << 20, MessageRate: 1000, MessageBurst: 2000, MaxGroups: 64,
		QueueMessages: 1024, QueueBytes: 1 << 20, HandlerConcurrency: 1,
		HandshakeTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, Heartbeat: 25 * time.Second,
		ResumeWindow: 5 * time.Minute, PresenceGrace: 10 * time.Second, ExpiryGrace: 30 * time.Second,
		DrainTimeout: 30 * time.Second, DrainSpread: 5 * time.Second, HealthInterval: 10 * time.Second,
		chosen: chosen{LogGroups: true},
	}
}

// Policy says what happens to a message that finds a connection's queue full. Logged messages are
// never dropped by a policy: under all but Disconnect the connection is replayed from the log instead.
type Policy uint8

// The overflow policies.
const (
	Disconnect  Policy = iota // close the connection: it resumes from the log
	DropOldest                // drop the oldest message that is in no log
	DropNewest                // drop the new message
	LatestByKey               // replace a waiting message with the same key (WithKey), else DropOldest
)

var policies = []string{"disconnect", "drop_oldest", "drop_newest", "latest_by_key"}

// String returns the policy's name.
func (p Policy) String() string {
	if int(p) < len(policies) {
		return policies[p]
	}
	return fmt.Sprintf("policy(%d)", uint8(p))
}

func (p Policy) queue() queue.Policy { return queue.Policy(p) }

// logs reports whether targets of a kind have logs.
func (c *Config) logs(k targetKind) bool {
	switch k {
	case targetGroup:
		return c.LogGroups
	case targetUser:
		return c.LogUsers
	case targetAll:
		return c.LogAll
	}
	return false
}

func (c *Config) logPriority(log string) Priority {
	if c.LogPriority == nil {
		return PriorityNormal
	}
	return c.LogPriority(log)
}

// Configurable is a provider with options of its own. New calls Configure once, before anything
// starts: the provider fills its Config in the order defaults, src, options, and returns every
// problem joined.
type Configurable interface {
	Configure(src *ConfigSource) error
}

// ConfigSource is one provider's part of the file and the environment. The zero value holds nothing.
type ConfigSource struct {
	name string
	file *conf.Section
	env  *conf.Env
	log  *slog.Logger
}

// Decode sets the fields of dst, a pointer to a struct with json tags, that the file and then the
// environment give. The error joins a *ConfigError for each problem.
func (s *ConfigSource) Decode(dst any) error {
	var err error
	if s.file != nil {
		err = s.file.Decode(dst)
	}
	if s.env != nil {
		err = errors.Join(err, s.env.Decode(s.name, dst))
	}
	return err
}

// Logger is where a provider warns about values that are allowed but unwise.
func (s *ConfigSource) Logger() *slog.Logger {
	if s.log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.log
}

// sources is where configuration is read from, only as far as options ask for it.
type sources struct {
	fileName string
	data     []byte
	isSet    bool
	environ  []string
	prefix   string
	env      bool
	vars     *conf.Env // once loaded
}

// load reads the file into the config, and prepares one ConfigSource for each provider.
func (s *sources) load(cfg *Config, names []string, log *slog.Logger) (map[string]*ConfigSource, error) {
	byName := make(map[string]*ConfigSource, len(names))
	for _, n := range names {
		byName[n] = &ConfigSource{name: n, log: log}
	}
	var errs []error
	if s.isSet {
		errs = append(errs, s.loadFile(cfg, byName, log))
	}
	if s.env {
		env, err := conf.NewEnv(s.environ, s.prefix)
		errs = append(errs, err)
		s.vars = env
		errs = append(errs, env.Decode("communication", cfg))
		for _, src := range byName {
			src.env = env
		}
	}
	return byName, errors.Join(errs...)
}

func (s *sources) loadFile(cfg *Config, byName map[string]*ConfigSource, log *slog.Logger) error {
	if s.data == nil {
		data, err := os.ReadFile(s.fileName)
		if err != nil {
			return fmt.Errorf("comm: configuration: %w", err)
		}
		s.data = data
	}
	doc, err := conf.Parse(s.fileName, s.data)
	errs := []error{err, doc.Only("communication", "providers")}
	comm, err := doc.Section("communication")
	errs = append(errs, err)
	if comm != nil {
		errs = append(errs, comm.Decode(cfg))
	}
	providers, err := doc.Section("providers")
	errs = append(errs, err)
	if providers == nil {
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, splitProviders(providers, byName, log))...)
}

// splitProviders hands each section to its provider; that of a known protocol that is not
// registered is checked for names and types.
func splitProviders(providers *conf.Section, byName map[string]*ConfigSource, log *slog.Logger) error {
	known := make([]string, 0, len(byName)+len(shapes))
	for n := range byName {
		known = append(known, n)
	}
	for n := range shapes {
		known = append(known, n)
	}
	slices.Sort(known)
	errs := []error{providers.Only(slices.Compact(known)...)}
	for name := range providers.Keys() {
		section, err := providers.Section(name)
		errs = append(errs, err)
		if section == nil {
			continue
		}
		if src := byName[name]; src != nil {
			src.file = section
			continue
		}
		if shape := shapes[name]; shape != nil {
			errs = append(errs, section.Decode(shape()))
			log.Info("configuration of a provider that is not registered", "provider", name)
		}
	}
	return errors.Join(errs...)
}

// unknownVariables reports variables that nobody read, once every provider has been configured. Those
// of known protocols that are not registered are checked like their sections of the file, but only
// behind a prefix: HTTP_PORT alone may be another program's.
func (s *sources) unknownVariables(byName map[string]*ConfigSource) error {
	if !s.env {
		return nil
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		if byName[name] != nil {
			continue
		}
		if err := s.vars.Decode(name, shapes[name]()); s.prefix != "" {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, s.vars.Unknown())...)
}

func parseOrigins(list []string) error {
	var errs []error
	for _, o := range list {
		if o == "*" {
			continue
		}
		scheme, host, ok := strings.Cut(o, "://")
		if !ok || scheme == "" || host == "" || strings.ContainsAny(host, "/?#@ ") {
			errs = append(errs, &OptionError{
				Option: "WithAllowedOrigins", Value: o,
				Allowed: "* or scheme://host[:port], where host may begin with *.",
			})
		}
	}
	return errors.Join(errs...)
}
