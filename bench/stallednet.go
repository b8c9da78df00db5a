package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
)

// h2Source has every client as a stream of one HTTP/2 connection. The one that
// stalls is not read, so its flow-control window fills.
func h2Source(s *spec) (source, func() error, error) {
	t := &http.Transport{Protocols: new(http.Protocols)}
	t.Protocols.SetUnencryptedHTTP2(true)
	f := newFeed()
	var stalled atomic.Bool
	for i := range s.Conns {
		w := &wire{index: i}
		url := "http://" + s.Entry.Addr + withGroup(s.Entry.SSE, stalledGroup(s, i))
		resp, err := request2(t, url, "")
		if err != nil {
			return nil, nil, fmt.Errorf("stream %d: %w", i, err)
		}
		last := i == s.Conns-1
		go func() {
			buf := make([]byte, 64<<10)
			for !last || !stalled.Load() {
				n, err := resp.Body.Read(buf)
				if last && stalled.Load() {
					return
				}
				f.feedEvents(w, buf[:n], err)
				if err != nil {
					return
				}
			}
		}()
	}
	return f, func() error { stalled.Store(true); return nil }, nil
}

// feedEvents sends the whole events of what was read.
func (f *feed) feedEvents(w *wire, b []byte, err error) {
	w.carry = append(w.carry, b...)
	if end := bytes.LastIndex(w.carry, eventEnd); end >= 0 {
		f.send(newFed(w, bytes.Clone(w.carry[:end]), nil))
		w.carry = w.carry[:copy(w.carry, w.carry[end+len(eventEnd):])]
	}
	if err != nil {
		f.send(newFed(w, nil, err))
	}
}

func request2(t http.RoundTripper, url, session string) (*http.Response, error) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "text/event-stream, application/json")
	if session != "" {
		r.Header.Set("Comm-Session", session)
	}
	resp, err := t.RoundTrip(r)
	if err == nil && resp.StatusCode >= 300 {
		b, _ := io.ReadAll(resp.Body)
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	return resp, err
}

// polled is an answer of long polling (PROTOCOL.md, "Long polling").
type polled struct {
	Conn   string            `json:"conn"`
	Cursor string            `json:"cursor"`
	Frames []json.RawMessage `json:"frames"`
}

// pollSource has every client poll, one request after the other.
func pollSource(s *spec) (source, func() error, error) {
	t := &http.Transport{MaxIdleConnsPerHost: s.Conns}
	f := newFeed()
	var stalled atomic.Bool
	for i := range s.Conns {
		p := &pollClient{transport: t, feed: f, wire: &wire{index: i}, base: "http://" + s.Entry.Addr, path: s.Entry.Poll}
		first := p.base + withGroup(s.Entry.Poll, stalledGroup(s, i))
		if err := p.poll(first); err != nil {
			return nil, nil, fmt.Errorf("client %d: %w", i, err)
		}
		last := i == s.Conns-1
		go p.run(func() bool { return last && stalled.Load() })
	}
	return f, func() error { stalled.Store(true); return nil }, nil
}

type pollClient struct {
	transport     http.RoundTripper
	feed          *feed
	wire          *wire
	base, path    string
	conn, session string
	cursor        string
}

func (p *pollClient) run(stop func() bool) {
	for !stop() {
		err := p.poll(p.base + "/poll?conn=" + p.conn + "&cursor=" + p.cursor + "&wait=20000")
		if err != nil {
			p.feed.send(newFed(p.wire, nil, err))
			return
		}
	}
}

func (p *pollClient) poll(url string) error {
	resp, err := request2(p.transport, url, p.session)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode == http.StatusNoContent {
		return err
	}
	var a polled
	if err := json.Unmarshal(b, &a); err != nil {
		return err
	}
	if p.session == "" {
		p.session = sessionIn(a.Frames)
	}
	p.conn, p.cursor = a.Conn, a.Cursor
	p.feed.send(newFed(p.wire, b, nil))
	return nil
}

// sessionIn is the session's secret in a welcome.
func sessionIn(frames []json.RawMessage) string {
	for _, f := range frames {
		var w struct{ Op, Session string }
		if json.Unmarshal(f, &w) == nil && w.Op == "welcome" {
			return w.Session
		}
	}
	return ""
}
