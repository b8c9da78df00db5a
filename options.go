package comm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"time"
)

// Option configures a Manager. Options are applied after the file and the environment, whatever the
// order of the arguments; New reports all bad ones together.
type Option interface{ applyManager(*builder) error }

// builder is what New collects from its options.
type builder struct {
	providers []Provider
	sources   sources
	settings  []func(*Config) error // applied over file and environment
	once      map[string]string     // option -> what it excludes
}

type option func(*builder) error

func (f option) applyManager(b *builder) error { return f(b) }

// set is an option that changes the Config.
func set(f func(*Config)) Option {
	return option(func(b *builder) error {
		b.settings = append(b.settings, func(c *Config) error { f(c); return nil })
		return nil
	})
}

// checked is an option whose value may be refused.
func checked(name string, value any, allowed string, ok bool, f func(*Config)) Option {
	return option(func(b *builder) error {
		if !ok {
			return &OptionError{Option: name, Value: value, Allowed: allowed}
		}
		return set(f).applyManager(b)
	})
}

// required is an exclusive option whose value must not be nil: a forgotten one would silently turn
// protection off.
func required(kind, name string, isNil bool, f func(*Config)) Option {
	if isNil {
		return option(func(*builder) error { return &OptionError{Option: name, Value: nil, Allowed: "a value"} })
	}
	return exclusive(kind, name, f)
}

// exclusive is an option that may be given once, and not beside another of the same kind.
func exclusive(kind, name string, f func(*Config)) Option {
	return option(func(b *builder) error {
		if other, dup := b.once[kind]; dup {
			return &OptionError{Option: name, Err: errors.New(other + " was given too"), Allowed: "one of them"}
		}
		b.once[kind] = name
		return set(f).applyManager(b)
	})
}

func positive(name string, n int, f func(*Config)) Option {
	return checked(name, n, "1 or more", n > 0, f)
}

func lasting(name string, d time.Duration, f func(*Config)) Option {
	return checked(name, d, "more than 0", d > 0, f)
}

func graceful(name string, d time.Duration, f func(*Config)) Option {
	return checked(name, d, "0 or more", d >= 0, f)
}

// WithProvider registers providers, in this order. See Manager.Register.
func WithProvider(p ...Provider) Option {
	return option(func(b *builder) error {
		if slices.Contains(p, nil) {
			return &OptionError{Option: "WithProvider", Value: nil, Allowed: "providers"}
		}
		b.providers = append(b.providers, p...)
		return nil
	})
}

// WithDefaultProvider names the provider that is used where a call names none. The default is the
// first one registered.
func WithDefaultProvider(name string) Option {
	return set(func(c *Config) { c.DefaultProvider = name })
}

// WithAddr sets where providers without an address of their own are served: host:port, where an
// empty host is every interface and port 0 a free one (see Manager.Addrs). The default is the
// address of the default provider, else 127.0.0.1:8080.
func WithAddr(addr string) Option {
	return exclusive("addr", "WithAddr", func(c *Config) { c.Addr = addr })
}

// WithInMemory opens no socket, of any provider: clients come through Manager.DialContext, for tests, or through a
// server of the service's own that gives requests to Manager.Handler.
func WithInMemory() Option { return set(func(c *Config) { c.InMemory = true }) }

// WithLogger sets the logger. The default is slog.Default; nil is refused.
func WithLogger(l *slog.Logger) Option {
	return checked("WithLogger", l, "a logger", l != nil, func(c *Config) { c.Logger = l })
}

// WithObserver sets what is told of every event. It must not block. The default is nobody.
func WithObserver(o Observer) Option { return set(func(c *Config) { c.Observer = o }) }

// WithTLS serves the manager's address with TLS. The configuration is used as it is, with h2 and
// http/1.1 added to NextProtos.
func WithTLS(conf *tls.Config) Option {
	return required("tls", "WithTLS", conf == nil, func(c *Config) { c.TLS = conf })
}

// WithCertificate serves the manager's address with TLS 1.3 and a certificate from PEM files, which
// are read again when they change. Given more than once, the certificate is chosen by the client's
// server name.
func WithCertificate(certFile, keyFile string) Option {
	return option(func(b *builder) error {
		if other, dup := b.once["tls"]; dup && other != "WithCertificate" {
			return &OptionError{Option: "WithCertificate", Err: errors.New(other + " was given too"), Allowed: "one of them"}
		}
		b.once["tls"] = "WithCertificate"
		return set(func(c *Config) { c.certificates = append(c.certificates, [2]string{certFile, keyFile}) }).applyManager(b)
	})
}

// WithDevelopmentCertificate serves the manager's address with TLS and a certificate for localhost
// that is made in memory. See Manager.DevelopmentCertificate.
func WithDevelopmentCertificate() Option {
	return exclusive("tls", "WithDevelopmentCertificate", func(c *Config) { c.developmentCA = true })
}

// WithClientCAs asks every client for a certificate that the pool verifies (mTLS). It needs
// WithCertificate or WithDevelopmentCertificate; with WithTLS set it there.
func WithClientCAs(pool *x509.CertPool) Option {
	return checked("WithClientCAs", nil, "a pool", pool != nil, func(c *Config) { c.clientCAs = pool })
}

// WithTLS12 lowers the minimum of WithCertificate and WithDevelopmentCertificate from TLS 1.3 to 1.2. It needs one of
// them; with WithTLS set it there.
func WithTLS12() Option { return set(func(c *Config) { c.insecureTLS12 = true }) }

// WithAuthenticator sets who decides who a client is. Without one every client is anonymous, and its token is not
// looked at.
func WithAuthenticator(a Authenticator) Option {
	return required("authenticator", "WithAuthenticator", a == nil, func(c *Config) { c.Authenticator = a })
}

// WithAuthorizer sets who decides what a client may do to others. Without one: nothing. What it refuses and what it fails
// to decide is counted (Stats.AccessDenied, AccessFailed), and the latter logged as a warning.
func WithAuthorizer(a Authorizer) Option {
	return required("authorizer", "WithAuthorizer", a == nil, func(c *Config) { c.Authorizer = a })
}

// WithOpenAccess allows every client everything that an Authorizer would be asked about. It is for
// development, and logs a warning.
func WithOpenAccess() Option {
	return exclusive("authorizer", "WithOpenAccess", func(c *Config) { c.OpenAccess = true })
}

// WithAllowedOrigins allows web pages of other origins: "https://app.example.com",
// "https://*.example.com", or "*" for any. The same origin is always allowed, and a request without
// an Origin header comes from no web page.
func WithAllowedOrigins(origins ...string) Option {
	return option(func(b *builder) error {
		if err := parseOrigins(origins); err != nil {
			return err
		}
		return set(func(c *Config) { c.AllowedOrigins = append(c.AllowedOrigins, origins...) }).applyManager(b)
	})
}

// WithTrustedProxies sets Config.TrustedProxies. Behind a reverse proxy it is needed: otherwise the limits
// per address are those of the proxy, and one client can use them up for all. X-Forwarded-For is walked
// from right to left, and the first address that is not in prefixes is the client.
func WithTrustedProxies(prefixes ...netip.Prefix) Option {
	return set(func(c *Config) { c.TrustedProxies = append(c.TrustedProxies, prefixes...) })
}

// WithOnConnect sets the hook that may refuse a client, and that sets its user, labels, metadata
// and groups. It runs behind the authenticator and before the connection is registered, for returning clients
// too, within the handshake timeout. It is called without a lock, concurrently.
//
// An error refuses the client for good: it is told what a *PeerError in the error, or a sentinel of this package,
// says, and else forbidden; the error itself is then logged as a warning. A
// *LimitError, or one that wraps context.DeadlineExceeded, has it come again instead, as in Authenticator.
func WithOnConnect(f func(ctx context.Context, hs *Handshake, a *Admission) error) Option {
	return required("on_connect", "WithOnConnect", f == nil, func(c *Config) { c.OnConnect = f })
}

// WithOnDisconnect sets the hook that is called last for every connection. The hooks of one connection are called one
// after the other, without a lock; those of different connections run at the same time. A panic in one is logged. Close
// and Drain wait for them.
func WithOnDisconnect(f func(c *Conn, d Disconnection)) Option {
	return required("on_disconnect", "WithOnDisconnect", f == nil, func(c *Config) { c.OnDisconnect = f })
}

// WithOnJoin sets the hook that is called after a connection has joined a group; see WithOnDisconnect.
func WithOnJoin(f func(c *Conn, group string)) Option {
	return required("on_join", "WithOnJoin", f == nil, func(c *Config) { c.OnJoin = f })
}

// WithOnLeave sets the hook that is called after a connection has left a group, or ended in it; see WithOnDisconnect.
func WithOnLeave(f func(c *Conn, group string)) Option {
	return required("on_leave", "WithOnLeave", f == nil, func(c *Config) { c.OnLeave = f })
}

// WithOnPresence sets the hook that is told when a user comes into a group or has left it for
// longer than the presence grace.
func WithOnPresence(f func(PresenceChange)) Option {
	return required("on_presence", "WithOnPresence", f == nil, func(c *Config) { c.OnPresence = f })
}

// WithPresenceGrace sets how long a lost user counts as present. The default is 10 s; 0 is none.
func WithPresenceGrace(d time.Duration) Option {
	return graceful("WithPresenceGrace", d, func(c *Config) { c.PresenceGrace = d })
}

// WithMiddleware adds middleware around every message handler; the first is the outermost.
func WithMiddleware(mw ...Middleware) Option {
	isNil := func(m Middleware) bool { return m == nil }
	return checked("WithMiddleware", nil, "functions", !slices.ContainsFunc(mw, isNil), func(c *Config) { c.middleware = append(c.middleware, mw...) })
}

// WithHandlerConcurrency lets n handlers of one connection run at once and so gives up the order of
// its messages. The default is 1.
func WithHandlerConcurrency(n int) Option {
	return positive("WithHandlerConcurrency", n, func(c *Config) { c.HandlerConcurrency = n })
}

// WithHandlerTimeout bounds each run of a message handler, its middleware included. Its context then ends, with
// ErrHandlerTimeout as the cause, a warning is logged, and the client is answered with the code timeout at once: whatever
// the handler returns later is dropped. A handler that does not look at its context runs on, and still holds up what its
// client sends behind it. The context then also ends when the handler returns, so what is to go on behind it takes
// Conn.Context. Where no handler is at work, such as for a join or a call of gRPC, it bounds the authorizer. The default is
// 0: no bound.
func WithHandlerTimeout(d time.Duration) Option {
	return graceful("WithHandlerTimeout", d, func(c *Config) { c.HandlerTimeout = d })
}

// WithMaxConnections bounds all connections together. The default is 100,000.
func WithMaxConnections(n int) Option {
	return positive("WithMaxConnections", n, func(c *Config) { c.MaxConnections = n })
}

// WithMaxConnectionsPerUser bounds the connections of one user. The default is 100. Over HTTP one too many is answered
// 503 with Retry-After. A client that says hello in the connection (WebSocket, WebTransport) is told the error limit
// there, because its hello may take the place of its own connection. A user that OnConnect names is known only then.
func WithMaxConnectionsPerUser(n int) Option {
	return positive("WithMaxConnectionsPerUser", n, func(c *Config) { c.MaxConnectionsPerUser = n })
}

// WithMaxConnectionsPerAddr bounds the connections of one address (IPv6: of one /64). The default is 1,000.
func WithMaxConnectionsPerAddr(n int) Option {
	return positive("WithMaxConnectionsPerAddr", n, func(c *Config) { c.MaxConnectionsPerAddr = n })
}

// WithHandshakeRate bounds the handshakes a second of one address, and how many may come at once.
// The default is 100, with a burst of 1,000.
func WithHandshakeRate(perSecond, burst int) Option {
	return checked("WithHandshakeRate", perSecond, "1 or more, and a burst of 1 or more", perSecond > 0 && burst > 0,
		func(c *Config) { c.HandshakeRate, c.HandshakeBurst = perSecond, burst })
}

// WithMaxHandshakesPerAddr bounds the handshakes of one address that are under way at once. The default is 256.
func WithMaxHandshakesPerAddr(n int) Option {
	return positive("WithMaxHandshakesPerAddr", n, func(c *Config) { c.MaxHandshakesPerAddr = n })
}

// WithFailedAuthBurst bounds the failed authentications of one address: so many at once, and one
// more every six seconds. The default is 20.
func WithFailedAuthBurst(n int) Option {
	return positive("WithFailedAuthBurst", n, func(c *Config) { c.FailedAuthBurst = n })
}

// WithMaxMessage bounds one inbound message, in bytes. The default is 1 MiB; at least 64.
func WithMaxMessage(bytes int) Option {
	return checked("WithMaxMessage", bytes, "64 or more", bytes >= 64, func(c *Config) { c.MaxMessage = bytes })
}

// WithMessageRate bounds the frames a second of one connection, and how many may come at once. Frames over
// it are refused; a client whose refused frames outnumber the others by the burst is closed. The
// default is 1,000, with a burst of 2,000.
func WithMessageRate(perSecond, burst int) Option {
	return checked("WithMessageRate", perSecond, "1 or more, and a burst of 1 or more", perSecond > 0 && burst > 0,
		func(c *Config) { c.MessageRate, c.MessageBurst = perSecond, burst })
}

// WithMaxGroups bounds the groups of one connection. The default is 64.
func WithMaxGroups(n int) Option {
	return positive("WithMaxGroups", n, func(c *Config) { c.MaxGroups = n })
}

// WithQueue bounds what waits for one connection, in messages and counted bytes. The default is
// 1,024 messages and 1 MiB. An empty queue admits one message of any size. Under the policy Disconnect
// what a group, a user's or everyone's messages have waiting for it counts by itself, for it waits there
// once for all that are behind.
func WithQueue(messages, bytes int) Option {
	return checked("WithQueue", messages, "1 or more messages and bytes", messages > 0 && bytes > 0,
		func(c *Config) { c.QueueMessages, c.QueueBytes = messages, bytes })
}

// WithOverflow says what happens to a message that finds the queue of its connection (WithQueue) full. The
// default is Disconnect.
func WithOverflow(p Policy) Option {
	return checked("WithOverflow", p, "Disconnect, DropOldest, DropNewest or LatestByKey", p <= LatestByKey,
		func(c *Config) { c.Overflow = p })
}

// WithHistory sets where logs are kept. The default is a MemoryStore with its defaults.
func WithHistory(s Store) Option {
	ok := s != nil
	if ms, memory := s.(*MemoryStore); memory {
		ok = ms != nil && min(int64(ms.Messages), int64(ms.Bytes), int64(ms.Age), int64(ms.Logs), ms.TotalBytes) >= 0
	}
	return checked("WithHistory", fmt.Sprintf("%T", s), "a store, with bounds of 0 or more", ok, func(c *Config) { c.Store = s })
}

// WithLogs says for what logs are kept: groups (on by default), users and everyone.
func WithLogs(groups, users, all bool) Option {
	return set(func(c *Config) { c.LogGroups, c.LogUsers, c.LogAll = groups, users, all })
}

// WithLogPriority sets the priority of each log, by its name ("group:lobby"). It must always answer
// the same. The default is PriorityNormal.
func WithLogPriority(f func(log string) Priority) Option {
	return set(func(c *Config) { c.LogPriority = f })
}

// WithResumeWindow sets how long after its connection's end a session can be resumed. The default is 5 minutes. What a
// resumed client has missed comes from the logs, which have bounds of their own: see MemoryStore.
func WithResumeWindow(d time.Duration) Option {
	return lasting("WithResumeWindow", d, func(c *Config) { c.ResumeWindow = d })
}

// WithExpiryGrace sets how long a connection outlives its identity (Identity.Expires), for a refresh that comes late.
// The default is 30 s; 0 is none.
func WithExpiryGrace(d time.Duration) Option {
	return graceful("WithExpiryGrace", d, func(c *Config) { c.ExpiryGrace = d })
}

// WithHeartbeat sets how often a quiet connection gets a sign of life. The default is 25 s. After how long a silence a
// client is given up is the carrier's to say.
func WithHeartbeat(d time.Duration) Option {
	return lasting("WithHeartbeat", d, func(c *Config) { c.Heartbeat = d })
}

// WithWriteTimeout bounds one write to a client; one that takes longer ends the connection. The default is 10 s.
func WithWriteTimeout(d time.Duration) Option {
	return lasting("WithWriteTimeout", d, func(c *Config) { c.WriteTimeout = d })
}

// WithHandshakeTimeout bounds the time until a client has said hello. The default is 10 s.
func WithHandshakeTimeout(d time.Duration) Option {
	return lasting("WithHandshakeTimeout", d, func(c *Config) { c.HandshakeTimeout = d })
}

// WithTimeout bounds a Call whose context has no deadline. The default is 30 s.
func WithTimeout(d time.Duration) Option {
	return lasting("WithTimeout", d, func(c *Config) { c.Timeout = d })
}

// WithRetry says how often a provider that fails is started again, and the longest wait before the
// first attempt; it doubles. The defaults are 3 and 5 s. 0 attempts never tries again.
func WithRetry(attempts int, delay time.Duration) Option {
	return checked("WithRetry", attempts, "0 or more attempts and a delay of more than 0", attempts >= 0 && delay > 0,
		func(c *Config) { c.RetryAttempts, c.RetryDelay = attempts, delay })
}

// WithDrainDelay sets how long /readyz answers 503 before anything closes, so that load balancers see it first. The
// default is 0.
func WithDrainDelay(d time.Duration) Option {
	return graceful("WithDrainDelay", d, func(c *Config) { c.DrainDelay = d })
}

// WithDrainTimeout bounds the drain of Run, the drain delay not counted. Half of it is for handlers to return: see
// Manager.Drain. The default is 30 s.
func WithDrainTimeout(d time.Duration) Option {
	return lasting("WithDrainTimeout", d, func(c *Config) { c.DrainTimeout = d })
}

// WithDrainSpread sets the window over which clients are told to come back, each at a random time of it, so that they do
// not all come at once. The drain does not wait for it. The default is 5 s; 0 tells all to come at once.
func WithDrainSpread(d time.Duration) Option {
	return graceful("WithDrainSpread", d, func(c *Config) { c.DrainSpread = d })
}

// WithHealthInterval sets how often health is checked, and what has expired (messages of quiet logs, sessions that nobody
// resumed) is forgotten. The default is 10 s.
func WithHealthInterval(d time.Duration) Option {
	return lasting("WithHealthInterval", d, func(c *Config) { c.HealthInterval = d })
}

// WithBackplane joins this manager with those of other nodes. The default is none: one node. This module has no engine
// behind it, only commtest.Bus, for tests.
func WithBackplane(b Backplane) Option {
	return checked("WithBackplane", b, "a backplane", b != nil, func(c *Config) { c.backplane = b })
}

// WithConfigFile reads a JSON file: {"communication": {...}, "providers": {"http": {...}}}. Its
// values go over the defaults; environment and options go over them. The keys are those of Config and of each provider's
// Config; durations are written "30s", sizes "1MiB". New reads it once, and reports every problem as a *ConfigError
// with its place: unknown keys, wrong types, bad values. One file is allowed.
func WithConfigFile(name string) Option {
	return option(func(b *builder) error { return b.file(name, nil) })
}

// WithConfigJSON is WithConfigFile with the document itself; name stands in errors.
func WithConfigJSON(name string, data []byte) Option {
	return option(func(b *builder) error { return b.file(name, append([]byte{}, data...)) })
}

func (b *builder) file(name string, data []byte) error {
	if b.sources.isSet {
		return &OptionError{Option: "WithConfigFile", Value: name, Allowed: "one file"}
	}
	b.sources.fileName, b.sources.data, b.sources.isSet = name, data, true
	return nil
}

// WithEnvironment reads the process's environment: COMMUNICATION_KEY for the manager and
// PROVIDER_KEY (HTTP_PORT, WEBSOCKET_PING_PERIOD) for each provider, behind the prefix if it is not
// empty ("MYAPP_" gives MYAPP_HTTP_PORT). An unknown variable under COMMUNICATION_, or under the
// prefix, is an error; all others are left alone.
func WithEnvironment(prefix string) Option { return WithEnviron(os.Environ(), prefix) }

// WithEnviron is WithEnvironment with the variables given, in the form of os.Environ.
func WithEnviron(environ []string, prefix string) Option {
	return option(func(b *builder) error {
		b.sources.environ, b.sources.prefix, b.sources.env = slices.Clone(environ), prefix, true
		return nil
	})
}
