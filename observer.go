package comm

// EventKind names an Event.
type EventKind string

// The events.
const (
	EventConnect    EventKind = "connect"    // a connection was admitted
	EventDisconnect EventKind = "disconnect" // a connection has ended
	EventRefused    EventKind = "refused"    // a handshake was refused by a hook or a limit; Err says why, for the service
	EventJoin       EventKind = "join"
	EventLeave      EventKind = "leave"
	EventStart      EventKind = "start"   // a provider has started
	EventStop       EventKind = "stop"    // a provider has stopped
	EventFail       EventKind = "fail"    // a provider failed
	EventHealth     EventKind = "health"  // a provider's health changed; Err is nil when it is well
	EventDrain      EventKind = "drain"   // the drain begins
	EventMessage    EventKind = "message" // a handler has returned; Err is its error
)

// Event is one thing that happened. Which fields are set depends on Kind; those that do not apply are zero. Conn is a
// connection's id.
type Event struct {
	Kind     EventKind
	Provider string
	Conn     string
	User     string
	Group    string
	Type     string // of a message
	Reason   ReasonKind
	Err      error
}

// Observer is told of every event, for metrics and tracing of the user's choice. It is called on
// the goroutine where the event happens and must return quickly. A panic is logged.
type Observer interface{ Observe(e Event) }

// ObserverFunc is a function as an Observer.
type ObserverFunc func(e Event)

// Observe calls f.
func (f ObserverFunc) Observe(e Event) { f(e) }

func (m *Manager) observe(e Event) {
	if e.Kind.changesReadiness() {
		m.ready.change()
	}
	if o := m.cfg.Observer; o != nil {
		defer m.recoverHook(nil)
		o.Observe(e)
	}
}
