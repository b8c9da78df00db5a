package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// wire is one connection of the client: a raw socket, with TLS over it where
// the row says so, and what came in and was not whole.
type wire struct {
	fd     int
	tls    *tls.Conn
	index  int
	group  int
	frames framing
	carry  []byte
	waits  bool // a read waits: during the handshake

	say  []string // what stands around a payload that it says
	next uint64   // the number of the message that must come
	done int      // messages that came
}

// framing takes messages out of what was read and returns what is left of it.
type framing interface {
	parse(w *wire, b []byte, deliver func(w *wire, f serverFrame) error) (rest []byte, err error)
}

// socket is a wire's file descriptor as the net.Conn that crypto/tls wants.
// Reading it when it is empty is a temporary error, which crypto/tls recovers from.
type socket struct{ w *wire }

type emptySocket struct{}

func (emptySocket) Error() string   { return "nothing to read" }
func (emptySocket) Timeout() bool   { return true }
func (emptySocket) Temporary() bool { return true }

func (s socket) Read(p []byte) (int, error) {
	n, err := s.w.readSocket(p)
	if err == nil && n == 0 {
		return 0, emptySocket{}
	}
	return n, err
}

func (s socket) Write(p []byte) (int, error) { return len(p), writeFD(s.w.fd, p) }
func (s socket) Close() error                { return syscall.Close(s.w.fd) }

func (socket) LocalAddr() net.Addr              { return nil }
func (socket) RemoteAddr() net.Addr             { return nil }
func (socket) SetDeadline(time.Time) error      { return nil }
func (socket) SetReadDeadline(time.Time) error  { return nil }
func (socket) SetWriteDeadline(time.Time) error { return nil }

// dialSocket connects a blocking socket. Every 20,000 connections come from
// another loopback address, because one has about 28,000 ports.
func dialSocket(addr string, index int) (int, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return 0, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	if from := index / 20000; from > 0 {
		// Without it, bind takes a port of all addresses, for a minute after the end too.
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, ipBindAddressNoPort, 1)
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(1 + from)}})
	}
	if err == nil {
		err = connectFD(fd, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	}
	if err != nil {
		syscall.Close(fd)
		return 0, fmt.Errorf("connect: %w", err)
	}
	return fd, nil
}

const ipBindAddressNoPort = 24 // Linux 4.2

// connectFD connects; a signal meanwhile is no failure.
func connectFD(fd int, to *syscall.SockaddrInet4) error {
	err := syscall.Connect(fd, to)
	for err == syscall.EINTR || err == syscall.EALREADY {
		err = syscall.Connect(fd, to)
	}
	if err == syscall.EISCONN {
		return nil
	}
	return err
}

// dialWire connects, with TLS where it is wanted, and sends an HTTP request;
// it returns when the response's head has come, which must have the status.
func dialWire(s *spec, index int, request, status string) (*wire, error) {
	w, err := openWire(s, index, "http/1.1")
	if err != nil {
		return nil, err
	}
	if err := w.write([]byte(request)); err != nil {
		return nil, err
	}
	if err := w.readHead(status); err != nil {
		return nil, err
	}
	w.waits = false
	return w, nil
}

// openWire connects, with TLS for the protocol where the row says so. Its
// reads wait.
func openWire(s *spec, index int, protocol string) (*wire, error) {
	fd, err := dialSocket(s.Entry.Addr, s.From+index)
	if err != nil {
		return nil, err
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	w := &wire{fd: fd, index: index, waits: true}
	if s.TLS {
		w.tls = tls.Client(socket{w}, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
		if err := w.tls.Handshake(); err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
	}
	return w, nil
}

// readHead reads up to the end of a response's head and keeps what is behind.
func (w *wire) readHead(status string) error {
	buf := make([]byte, 0, 4096)
	for {
		end := bytes.Index(buf, []byte("\r\n\r\n"))
		if end >= 0 {
			head := string(buf[:end])
			if !strings.HasPrefix(head, "HTTP/1.1 "+status) {
				return fmt.Errorf("answered %q", strings.ReplaceAll(head, "\r\n", " | "))
			}
			if strings.Contains(strings.ToLower(head), "transfer-encoding: chunked") {
				w.frames = &chunked{}
			}
			w.carry = append(w.carry, buf[end+4:]...)
			return nil
		}
		if len(buf) == cap(buf) {
			return errors.New("the response's head is too long")
		}
		n, err := w.read(buf[len(buf):cap(buf)])
		if err != nil || n == 0 {
			return fmt.Errorf("reading the response: %d bytes, %w", n, err)
		}
		buf = buf[:len(buf)+n]
	}
}

// read reads once; nothing there is 0 without an error.
func (w *wire) read(p []byte) (n int, err error) {
	if w.tls != nil {
		n, err = w.tls.Read(p)
		if _, empty := errors.AsType[emptySocket](err); empty {
			return n, nil
		}
		return n, err
	}
	return w.readSocket(p)
}

// readSocket reads the bare socket; nothing there is 0 without an error.
func (w *wire) readSocket(p []byte) (int, error) {
	for {
		n, err := readFD(w.fd, p)
		switch {
		case err == syscall.EAGAIN && w.waits:
			if err := waitFD(w.fd, pollIn); err != nil {
				return 0, err
			}
		case err == syscall.EAGAIN:
			return 0, nil
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (w *wire) write(p []byte) error {
	if w.tls != nil {
		_, err := w.tls.Write(p)
		return err
	}
	return writeFD(w.fd, p)
}

// dialWebSocket makes the handshake of RFC 6455 4.1 and says hello.
func dialWebSocket(s *spec, index, group int) (*wire, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", withGroup(s.Entry.WS, group))
	b.WriteString("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n")
	if s.Entry.Proto != "" {
		fmt.Fprintf(&b, "Sec-WebSocket-Protocol: %s\r\n", s.Entry.Proto)
	}
	if s.Deflate {
		b.WriteString("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n")
	}
	b.WriteString("Authorization: Bearer " + token + "\r\n\r\n")
	w, err := dialWire(s, index, b.String(), "101")
	if err != nil {
		return nil, err
	}
	w.group, w.frames = group, webSocketFraming{}
	if s.Entry.Hello != "" {
		err = w.write(appendClientFrame(nil, opText, false, []byte(withGroup(s.Entry.Hello, group))))
	}
	return w, err
}

// dialStream opens an event stream.
func dialStream(s *spec, index, group int) (*wire, error) {
	w, err := dialWire(s, index, "GET "+withGroup(s.Entry.SSE, group)+" HTTP/1.1\r\nHost: localhost\r\n"+
		"Accept: text/event-stream\r\nAuthorization: Bearer "+token+"\r\n\r\n", "200")
	if err != nil {
		return nil, err
	}
	w.group = group
	if w.frames == nil {
		w.frames = plainStream{}
	}
	return w, nil
}

// token is what the main job's authenticators want.
const token = "let-me-in"
