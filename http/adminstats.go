package commhttp

import (
	"net/http"
	"runtime"
	"time"

	"github.com/anasamu/comm"
)

// adminTotals are the numbers of one provider or of all.
type adminTotals struct {
	ConnectionsActive int64            `json:"connections_active"`
	ConnectionsTotal  int64            `json:"connections_total"`
	Requests          int64            `json:"requests"`
	RequestsFailed    int64            `json:"requests_failed"`
	MessagesIn        int64            `json:"messages_in"`
	MessagesInFailed  int64            `json:"messages_in_failed"`
	MessagesOut       int64            `json:"messages_out"`
	MessagesOutFailed int64            `json:"messages_out_failed"`
	BytesIn           int64            `json:"bytes_in"`
	BytesOut          int64            `json:"bytes_out"`
	AccessDenied      int64            `json:"access_denied"`
	AccessFailed      int64            `json:"access_failed"`
	Drops             map[string]int64 `json:"drops"`
	Closed            map[string]int64 `json:"closed"`
	ResponseAverage   float64          `json:"response_avg_ms"`
	ResponseP50       float64          `json:"response_p50_ms"`
	ResponseP95       float64          `json:"response_p95_ms"`
	ResponseP99       float64          `json:"response_p99_ms"`
	ResponseMax       float64          `json:"response_max_ms"`
}

func newAdminTotals(s comm.Stats) adminTotals {
	return adminTotals{
		ConnectionsActive: s.ConnectionsActive, ConnectionsTotal: s.ConnectionsTotal,
		Requests: s.Requests, RequestsFailed: s.RequestsFailed,
		MessagesIn: s.MessagesIn, MessagesInFailed: s.MessagesInFailed,
		MessagesOut: s.MessagesOut, MessagesOutFailed: s.MessagesOutFailed,
		BytesIn: s.BytesIn, BytesOut: s.BytesOut,
		AccessDenied: s.AccessDenied, AccessFailed: s.AccessFailed, Drops: orEmpty(s.Drops), Closed: orEmpty(s.Closed),
		ResponseAverage: millis(s.ResponseAverage), ResponseP50: millis(s.ResponseP50), ResponseP95: millis(s.ResponseP95),
		ResponseP99: millis(s.ResponseP99), ResponseMax: millis(s.ResponseMax),
	}
}

// orEmpty has an empty map be {} and not null.
func orEmpty(m map[string]int64) map[string]int64 {
	if m == nil {
		return map[string]int64{}
	}
	return m
}

type adminProvider struct {
	adminTotals
	Running  bool                 `json:"running"`
	Healthy  bool                 `json:"healthy"`
	Features []comm.Feature       `json:"features"`
	Addrs    []string             `json:"addrs"`
	Calls    map[string]adminCall `json:"calls"`
}

// adminType is what the handlers of one message type have done.
type adminType struct {
	Handled int64   `json:"handled"`
	Failed  int64   `json:"failed"`
	Average float64 `json:"avg_ms"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
}

func newAdminTypes(all map[string]comm.TypeStats) map[string]adminType {
	types := make(map[string]adminType, len(all))
	for name, t := range all {
		types[name] = adminType{t.Handled, t.Failed, millis(t.Average), millis(t.P50), millis(t.P99)}
	}
	return types
}

// adminCall is what one method of a provider has done.
type adminCall struct {
	Calls   int64            `json:"calls"`
	Failed  int64            `json:"failed"`
	Codes   map[string]int64 `json:"codes"`
	Average float64          `json:"avg_ms"`
	P50     float64          `json:"p50_ms"`
	P99     float64          `json:"p99_ms"`
}

func newAdminCalls(all map[string]comm.CallStats) map[string]adminCall {
	calls := make(map[string]adminCall, len(all))
	for name, c := range all {
		calls[name] = adminCall{c.Calls, c.Failed, orEmpty(c.Codes), millis(c.Average), millis(c.P50), millis(c.P99)}
	}
	return calls
}

func (a *admin) stats(w http.ResponseWriter, r *http.Request) {
	m := a.manager
	totals, err := m.Stats("")
	if err != nil {
		RefuseError(w, r, err)
		return
	}
	health := m.Health(r.Context())
	providers := make(map[string]adminProvider)
	for _, name := range m.Providers() {
		providers[name] = newAdminProvider(m, name, health.Providers[name])
	}
	answerJSON(w, http.StatusOK, map[string]any{
		"uptime_ms": time.Since(a.began).Milliseconds(), "goroutines": runtime.NumGoroutine(),
		"totals": newAdminTotals(totals), "providers": providers, "types": newAdminTypes(totals.Types),
	})
}

// newAdminProvider leaves out what is unknown of a provider, none of which is while it is registered.
func newAdminProvider(m *comm.Manager, name string, health comm.ProviderHealth) adminProvider {
	s, _ := m.Stats(name)
	features, _ := m.Features(name)
	addrs, _ := m.Addrs(name)
	if addrs == nil {
		addrs = []string{}
	}
	return adminProvider{
		adminTotals: newAdminTotals(s), Running: health.Running, Healthy: health.Healthy, Features: features, Addrs: addrs,
		Calls: newAdminCalls(s.Calls),
	}
}
