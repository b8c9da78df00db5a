package comm

import (
	"net/http"
	"time"

	"github.com/anasamu/comm/internal/prom"
	"github.com/anasamu/comm/internal/stat"
)

// MetricsHandler serves the statistics in the Prometheus text format 0.0.4, with Go's own: for
// /metrics. Labels are of bounded number: providers, reasons, and at most 200 message types.
func (m *Manager) MetricsHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var page prom.Page
		m.writeMetrics(&page)
		page.Runtime()
		w.Header().Set("Content-Type", prom.ContentType)
		w.Header().Set("Cache-Control", "no-store")
		_, _ = page.WriteTo(w)
	})
}

func (m *Manager) writeMetrics(page *prom.Page) {
	states, _ := m.named()
	for _, p := range states {
		p.writeMetrics(page)
	}
	page.Counter("comm_sends_total", "Calls of Send and Broadcast.", float64(m.stats.sends.Load()))
	for name, t := range m.stats.byType.All() {
		l := prom.L("type", name)
		snap := t.latency.Snapshot()
		page.Histogram("comm_handler_duration_seconds", "Duration of message handlers.", histogram(&snap), l)
		page.Counter("comm_handler_failures_total", "Message handlers that returned an error.", float64(t.failed.Load()), l)
	}
}

func (p *providerState) writeMetrics(page *prom.Page) {
	l, s := prom.L("provider", p.name), &p.stats
	running := 0.0
	if p.running() {
		running = 1
	}
	page.Gauge("comm_provider_running", "1 while the provider runs.", running, l)
	page.Gauge("comm_connections", "Connections open now.", float64(s.active.Load()), l)
	for _, c := range []struct {
		name, help string
		value      *stat.Counter
	}{
		{"comm_connections_opened_total", "Connections ever admitted.", &s.connections},
		{"comm_messages_received_total", "Messages from clients.", &s.messagesIn},
		{"comm_messages_failed_total", "Messages from clients that failed.", &s.failedIn},
		{"comm_messages_sent_total", "Messages written to clients.", &s.messagesOut},
		{"comm_received_bytes_total", "Bytes read from clients.", &s.bytesIn},
		{"comm_sent_bytes_total", "Bytes written to clients.", &s.bytesOut},
		{"comm_access_denied_total", "What clients asked for and the authorizer refused.", &s.denied},
		{"comm_access_failed_total", "What clients asked for and the authorizer could not decide.", &s.undecided},
		{"comm_http_requests_total", "HTTP requests and calls.", &s.requests},
		{"comm_http_requests_failed_total", "HTTP requests answered with 5xx, and calls that the service failed.", &s.failed},
	} {
		page.Counter(c.name, c.help, float64(c.value.Load()), l)
	}
	s.mu.Lock()
	for reason, n := range s.drops {
		page.Counter("comm_messages_dropped_total", "Messages that were not written, by reason.", float64(n), l, prom.L("reason", reason))
	}
	s.mu.Unlock()
	for k := range s.ends {
		if n := s.ends[k].Load(); n > 0 {
			page.Counter("comm_connections_closed_total", "Connections ended, by reason.", float64(n), l, prom.L("reason", ReasonKind(k).String()))
		}
	}
	s.writeCalls(page, l)
	snap := s.latency.Snapshot()
	page.Histogram("comm_http_response_seconds", "Duration of HTTP requests and calls that are no streams.", histogram(&snap), l)
}

func histogram(s *stat.Snapshot) prom.Histogram {
	bounds := stat.LatencyBounds()
	h := prom.Histogram{Cumulative: s.Cumulative(bounds), Count: s.Count, Sum: s.Sum.Seconds()}
	for _, b := range bounds {
		h.Bounds = append(h.Bounds, float64(b)/float64(time.Second))
	}
	return h
}
