package comm

import "slices"

// Feature is something that a provider serves as it is configured.
type Feature string

// The features.
const (
	FeatureHTTP           Feature = "http"
	FeatureHTTPS          Feature = "https"
	FeatureWebSocket      Feature = "websocket"
	FeatureSSE            Feature = "server_sent_events"
	FeatureLongPolling    Feature = "long_polling"
	FeatureCORS           Feature = "cors"
	FeatureCompression    Feature = "compression"
	FeatureAuthentication Feature = "authentication"
	FeatureRateLimiting   Feature = "rate_limiting"
	FeatureLoadBalancing  Feature = "load_balancing"
	FeatureMetrics        Feature = "metrics"
	FeatureLogging        Feature = "logging"
	FeatureHealthChecks   Feature = "health_checks"
	FeatureMiddleware     Feature = "middleware"
	FeatureStaticFiles    Feature = "static_files"
	FeatureTemplates      Feature = "templates"
	FeatureSessions       Feature = "sessions"
	FeatureCookies        Feature = "cookies"
	FeatureHeaders        Feature = "headers"
	FeatureQueryParams    Feature = "query_params"
	FeaturePathParams     Feature = "path_params"
	FeatureBodyParsing    Feature = "body_parsing"
	FeatureFileUpload     Feature = "file_upload"
	FeatureStreaming      Feature = "streaming"
	FeatureRealTime       Feature = "real_time"
	FeatureBroadcasting   Feature = "broadcasting"
	FeatureMulticasting   Feature = "multicasting"
	FeatureUnicasting     Feature = "unicasting"
)

// Features returns what the named provider serves, or with "" what all of them do, sorted. What the
// manager itself adds to each (metrics, logging, health checks, rate limiting, and authentication
// where there is an authenticator) is part of it. Errors: ErrNotFound.
func (m *Manager) Features(provider string) ([]Feature, error) {
	var list []Feature
	states, err := m.named(provider)
	if err != nil {
		return nil, err
	}
	for _, p := range states {
		list = append(list, p.impl.Features()...)
	}
	if len(states) > 0 {
		list = append(list, FeatureMetrics, FeatureLogging, FeatureHealthChecks, FeatureRateLimiting)
		if m.cfg.Authenticator != nil {
			list = append(list, FeatureAuthentication)
		}
		if m.tls != nil {
			list = append(list, FeatureHTTPS)
		}
		if len(m.cfg.middleware) > 0 {
			list = append(list, FeatureMiddleware)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}
