package commquic

import "net/http"

// ExtendedConnect adapts a RoundTripper of quic-go (an http3.Transport or http3.ClientConn) to requests by
// extended CONNECT as net/http forms them, with the header ":protocol": it is what ws.WithRoundTripper takes for
// WebSocket over HTTP/3 (RFC 9220). Other requests pass unchanged.
func ExtendedConnect(rt http.RoundTripper) http.RoundTripper { return extendedConnect{rt} }

type extendedConnect struct{ rt http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (e extendedConnect) RoundTrip(r *http.Request) (*http.Response, error) {
	const header = ":protocol"
	protocol := r.Header[header]
	if r.Method != http.MethodConnect || len(protocol) != 1 {
		return e.rt.RoundTrip(r)
	}
	r = r.Clone(r.Context()) // a RoundTripper may not change its request
	delete(r.Header, header)
	r.Proto = protocol[0] // quic-go's form
	return e.rt.RoundTrip(r)
}
