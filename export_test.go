package comm

// Config returns the resolved configuration.
func (m *Manager) Config() Config { return m.cfg }

// BreakListener lets the listener of the manager's address die with err.
func (m *Manager) BreakListener(err error) { m.book.peek(m, m.addr()).fail(err) }

// NewOutbound is a message on its way out.
func NewOutbound(m *Message) Outbound {
	return Outbound{&envelope{frame: Frame{Op: OpMessage, ID: m.id, Message: m}, size: m.Size()}}
}
