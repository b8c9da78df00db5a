package main

import (
	"cmp"
	"fmt"
	"io"
	"net"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
	commquic "github.com/anasamu/comm/quic"
)

// offer is what the page and the gateway must know of QUIC.
type offer struct {
	page    []commhttp.AdminOption
	gateway []comm.Option
}

// overQUIC makes the provider of QUIC and HTTP/3 at an address of its own, under a certificate for development whose
// hash the page hands to the browser. Without an address there is none.
func overQUIC(page, addr string) (list []comm.Provider, o offer, err error) {
	if addr == "" {
		return nil, o, nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, o, fmt.Errorf("-quic: %w", err)
	}
	server, _, hash, err := commquic.DevelopmentTLS(host)
	if err != nil {
		return nil, o, err
	}
	url := "https://" + net.JoinHostPort(cmp.Or(host, "127.0.0.1"), port) + commquic.DefaultWebTransportPath
	o.page = []commhttp.AdminOption{commhttp.WithAdminWebTransport(url, hash)}
	if page != "" { // it is of another origin than the sessions that it opens
		o.gateway = []comm.Option{comm.WithAllowedOrigins("http://" + page)}
	}
	return []comm.Provider{commquic.New(commquic.WithAddr(addr), commquic.WithTLS(server))}, o, nil
}

// announceQUIC prints what is served over QUIC.
func announceQUIC(w io.Writer, addrs func(provider string) ([]string, error)) {
	at := base(addrs, "quic")
	fmt.Fprintf(w, "  %-15s https://%s/\n  %-15s https://%s%s\n  %-15s %s, ALPN %s\n\n",
		"HTTP/3", at, "WebTransport", at, commquic.DefaultWebTransportPath, "QUIC", at, commquic.Protocol)
}
