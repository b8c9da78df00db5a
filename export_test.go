package comm

// Config returns the resolved configuration.
func (m *Manager) Config() Config { return m.cfg }

// BreakListener lets the listener of the manager's address die with err.
func (m *Manager) BreakListener(err error) { m.book.peek(m, m.addr()).fail(err) }

// NewOutbound is a message on its way out.
func NewOutbound(m *Message) Outbound {
	return Outbound{&envelope{frame: Frame{Op: OpMessage, ID: m.id, Message: m}, size: m.Size()}}
}

// SetWriters says how many goroutines write for all connections, none of which has anything to write.
func SetWriters(m *Manager, n int) {
	m.writers.mu.Lock()
	defer m.writers.mu.Unlock()
	m.writers.most = n
}
