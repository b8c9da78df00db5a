package ws

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
)

// connect reaches the server of u, through its proxy if it has one, with TLS
// for https.
func (d *dialConfig) connect(ctx context.Context, u *url.URL) (net.Conn, error) {
	var via *url.URL
	var err error
	if d.proxy != nil {
		if via, err = d.proxy(&http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{}}); err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
	}
	nc, err := d.reach(ctx, u, via)
	if err != nil || u.Scheme != "https" {
		return nc, err
	}
	return secure(ctx, nc, d.tls, u.Hostname())
}

func (d *dialConfig) reach(ctx context.Context, u, via *url.URL) (net.Conn, error) {
	target := hostPort(u)
	if via == nil {
		return d.netDial(ctx, "tcp", target)
	}
	nc, err := d.netDial(ctx, "tcp", hostPort(via))
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", via.Host, err)
	}
	if via.Scheme == "https" {
		if nc, err = secure(ctx, nc, nil, via.Hostname()); err != nil {
			return nil, fmt.Errorf("proxy %s: %w", via.Host, err)
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(past) })
	defer stop()
	if err := tunnel(nc, via, target); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("proxy %s: %w", via.Host, err)
	}
	return nc, nil
}

func tunnel(nc net.Conn, via *url.URL, target string) error {
	switch via.Scheme {
	case "http", "https":
		return tunnelHTTP(nc, via, target)
	case "socks5", "socks5h":
		return tunnelSOCKS(nc, via, target)
	}
	return refuse("proxy scheme", via.Scheme, "http, https, socks5 or socks5h")
}

// hostPort is u's address with its scheme's port as default.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// secure makes TLS over nc, which it closes if that fails.
func secure(ctx context.Context, nc net.Conn, conf *tls.Config, host string) (net.Conn, error) {
	if conf == nil {
		conf = &tls.Config{MinVersion: tls.VersionTLS12}
	} else {
		conf = conf.Clone()
	}
	if conf.ServerName == "" {
		conf.ServerName = host
	}
	conf.NextProtos = []string{"http/1.1"} // the upgrade exists in HTTP/1.1 only
	tc := tls.Client(nc, conf)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return tc, nil
}

// tunnelHTTP asks an HTTP proxy for a tunnel (RFC 9110 9.3.6).
func tunnelHTTP(nc net.Conn, via *url.URL, target string) error {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: http.Header{}}
	if via.User != nil {
		password, _ := via.User.Password()
		auth := &http.Request{Header: http.Header{}}
		auth.SetBasicAuth(via.User.Username(), password)
		req.Header.Set("Proxy-Authorization", auth.Header.Get("Authorization"))
	}
	if err := req.Write(nc); err != nil {
		return err
	}
	// One byte at a time: what follows the header belongs to the tunnel.
	resp, err := http.ReadResponse(bufio.NewReaderSize(io.LimitReader(oneByte{nc}, maxResponse), 16), req)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return refused(resp.StatusCode, "", "proxy refused the tunnel")
	}
	return nil
}

// oneByte reads no further than asked for, whatever is buffered above it.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

const (
	socksVersion  = 5
	socksNoAuth   = 0
	socksPassword = 2
	socksConnect  = 1
	socksIPv4     = 1
	socksDomain   = 3
	socksIPv6     = 4
)

// tunnelSOCKS asks a SOCKS 5 proxy for a tunnel (RFC 1928). Names are resolved
// by the proxy.
func tunnelSOCKS(nc net.Conn, via *url.URL, target string) error {
	methods := []byte{socksVersion, 1, socksNoAuth}
	if via.User != nil {
		methods = []byte{socksVersion, 2, socksNoAuth, socksPassword}
	}
	var chosen [2]byte
	if err := exchange(nc, methods, chosen[:]); err != nil {
		return err
	}
	switch {
	case chosen[0] != socksVersion:
		return errors.New("not a SOCKS 5 proxy")
	case chosen[1] == socksPassword && via.User != nil:
		if err := socksLogin(nc, via.User); err != nil {
			return err
		}
	case chosen[1] != socksNoAuth:
		return errors.New("proxy wants another authentication")
	}
	return socksOpen(nc, target)
}

// socksLogin is RFC 1929.
func socksLogin(nc net.Conn, user *url.Userinfo) error {
	name := user.Username()
	password, _ := user.Password()
	if len(name) == 0 || len(name) > 255 || len(password) == 0 || len(password) > 255 {
		return errors.New("SOCKS user and password are 1 to 255 bytes")
	}
	b := append([]byte{1, byte(len(name))}, name...)
	b = append(append(b, byte(len(password))), password...)
	var answer [2]byte
	if err := exchange(nc, b, answer[:]); err != nil {
		return err
	}
	if answer[1] != 0 {
		return errors.New("proxy refused user and password")
	}
	return nil
}

func socksOpen(nc net.Conn, target string) error {
	host, portText, err := net.SplitHostPort(target)
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || len(host) > 255 {
		return fmt.Errorf("address %s does not fit SOCKS 5", target)
	}
	b := socksAddress([]byte{socksVersion, socksConnect, 0}, host)
	var answer [4]byte
	if err := exchange(nc, binary.BigEndian.AppendUint16(b, uint16(port)), answer[:]); err != nil {
		return err
	}
	if answer[1] != 0 {
		return fmt.Errorf("proxy answered SOCKS error %d", answer[1])
	}
	return socksSkip(nc, answer[3])
}

func socksAddress(b []byte, host string) []byte {
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return append(append(b, socksDomain, byte(len(host))), host...)
	case ip.Is4():
		return append(append(b, socksIPv4), ip.AsSlice()...)
	}
	return append(append(b, socksIPv6), ip.AsSlice()...)
}

// socksSkip reads past the bound address, which is of no use here.
func socksSkip(nc net.Conn, kind byte) error {
	n := 0
	switch kind {
	case socksIPv4:
		n = 4
	case socksIPv6:
		n = 16
	case socksDomain:
		var length [1]byte
		if _, err := io.ReadFull(nc, length[:]); err != nil {
			return err
		}
		n = int(length[0])
	default:
		return fmt.Errorf("proxy answered SOCKS address type %d", kind)
	}
	_, err := io.CopyN(io.Discard, nc, int64(n+2))
	return err
}

func exchange(nc net.Conn, send, receive []byte) error {
	if _, err := nc.Write(send); err != nil {
		return err
	}
	_, err := io.ReadFull(nc, receive)
	return err
}
