package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// polling is the framing of a client of long polling: what is delivered is the
// body of an answer, and behind each the next poll leaves.
type polling struct {
	path, conn, session, cursor string
}

// dialPoll opens a connection and leaves it with a poll that waits.
func dialPoll(s *spec, index, group int) (*wire, error) {
	w, err := openWire(s, index, "http/1.1")
	if err != nil {
		return nil, err
	}
	p := &polling{path: withGroup(s.Entry.Poll, group)}
	w.group, w.frames = group, p
	if err := p.request(w); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096)
	for p.conn == "" {
		n, err := w.read(buf)
		if err == nil {
			w.carry, err = p.parse(w, append(w.carry, buf[:n]...), func(*wire, serverFrame) error { return nil })
		}
		if err != nil {
			return nil, fmt.Errorf("opening: %w", err)
		}
	}
	w.waits = false
	return w, nil
}

// request sends the first poll, or the next one (PROTOCOL.md, "Long polling").
func (p *polling) request(w *wire) error {
	if p.conn == "" {
		return w.write(fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", p.path, token))
	}
	return w.write(fmt.Appendf(nil, "GET /poll?conn=%s&cursor=%s HTTP/1.1\r\nHost: localhost\r\nComm-Session: %s\r\n\r\n", p.conn, p.cursor, p.session))
}

func (p *polling) parse(w *wire, b []byte, deliver func(*wire, serverFrame) error) ([]byte, error) {
	for bytes.Contains(b, []byte("\r\n\r\n")) {
		status, body, rest, err := cutResponse(b)
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return b, nil // not whole
		case err != nil:
			return nil, err
		case status == http.StatusOK:
			err = p.take(w, body, deliver)
		case status != http.StatusNoContent:
			err = fmt.Errorf("answered %d %s", status, body)
		}
		if err == nil {
			err = p.request(w)
		}
		if err != nil {
			return nil, err
		}
		b = rest
	}
	return b, nil
}

func cutResponse(b []byte) (status int, body, rest []byte, err error) {
	r := bytes.NewReader(b)
	br := bufio.NewReaderSize(r, 1024)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, b[len(b)-r.Len()-br.Buffered():], err
}

func (p *polling) take(w *wire, body []byte, deliver func(*wire, serverFrame) error) error {
	var a polled
	if err := json.Unmarshal(body, &a); err != nil {
		return err
	}
	if p.session == "" {
		p.session = sessionIn(a.Frames)
	}
	p.conn, p.cursor = a.Conn, a.Cursor
	return deliver(w, serverFrame{op: opText, fin: true, payload: body})
}
