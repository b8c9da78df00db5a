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

// Replays returns, of each topic, how many members it counts as being replayed, and how many are.
func Replays(m *Manager) (counted, are map[string]int) {
	counted, are = make(map[string]int), make(map[string]int)
	for i := range m.dir.shards {
		s := &m.dir.shards[i]
		s.mu.RLock()
		for key, t := range s.topics {
			t.mu.Lock()
			counted[key] = int(t.replays)
			are[key] = 0
			for _, seat := range t.members {
				if seat.m.replaying {
					are[key]++
				}
			}
			t.mu.Unlock()
		}
		s.mu.RUnlock()
	}
	return counted, are
}
