package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
)

// settings is what of the configuration file is needed here; comm.New reads and checks all of it.
type settings struct {
	Communication map[string]any
	Providers     map[string]map[string]any
}

func readSettings(file string) (s settings) {
	if b, err := os.ReadFile(file); err == nil {
		_ = json.Unmarshal(b, &s) // comm.New says what is wrong with it, and where
	}
	return s
}

// retries reports whether the file says how often a provider that fails is tried again.
func (s settings) retries() bool {
	return s.Communication["retry_attempts"] != nil || s.Communication["retry_delay"] != nil
}

// service is one thing to reach: key is where a provider's section names its path, if it can.
type service struct{ label, scheme, provider, key, path string }

var services = []service{
	{"page", "http", "http", "", "/"},
	{"WebSocket", "ws", "websocket", "path", "/ws"},
	{"Server-Sent", "http", "sse", "path", "/events"},
	{"long polling", "http", "http", "poll_path", "/poll"},
	{"GraphQL", "http", "graphql", "path", "/graphql"},
	{"gRPC", "grpc", "grpc", "", "/comm.v1.HubService"},
	{"alive", "http", "http", "live_path", "/livez"},
	{"ready", "http", "http", "ready_path", "/readyz"},
	{"metrics", "http", "http", "metrics_path", "/metrics"},
	{"API", "http", "http", "", "/api/connections  /api/stats  POST /api/send"},
}

// announce prints what is served where, each at the address that its provider has.
func announce(w io.Writer, addrs func(provider string) ([]string, error), set settings, token string) {
	page := base(addrs, "http")
	fmt.Fprintf(w, "The gateway is at http://%s/\n\n", page)
	for _, s := range services {
		path := s.path
		if p, ok := set.Providers[s.provider][s.key].(string); ok {
			path = p
		}
		if path != "" { // else the file has switched it off
			fmt.Fprintf(w, "  %-15s %s://%s%s\n", s.label, s.scheme, base(addrs, s.provider), path)
		}
	}
	fmt.Fprintln(w)
	if token != "" {
		fmt.Fprintf(w, "An address can be reached from outside, so a token is needed:\n\n  http://%s/#token=%s\n\n", page, token)
	}
}

// base is where a provider was bound, in a form that a browser on this machine takes.
func base(addrs func(string) ([]string, error), provider string) string {
	list, err := addrs(provider)
	if err != nil || len(list) == 0 {
		return provider + " is not running"
	}
	host, port, _ := net.SplitHostPort(list[0])
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
