package listen

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// connInfo is what the server knows of a connection that net/http serves.
type connInfo struct {
	server *Server
	conn   net.Conn // as net/http has it
	raw    net.Conn // as it was accepted
	tls    *tls.ConnectionState

	major   atomic.Int32 // HTTP/1 or HTTP/2; 0 while unknown
	waiting atomic.Int64 // Unix nanoseconds since when there is no request; 0 during one
}

// saw notes the protocol of a request.
func (i *connInfo) saw(major int) {
	if i.major.Load() == 0 {
		i.major.Store(int32(major))
	}
}

// conns holds the connections with net/http by the net.Conn that its hooks name. Every
// request looks here twice and connections come and go seldom, which is sync.Map's case.
type conns struct{ m sync.Map }

func (cs *conns) all(f func(*connInfo)) {
	cs.m.Range(func(_, v any) bool {
		f(v.(*connInfo))
		return true
	})
}

func (s *Server) register(conn, raw net.Conn, state *tls.ConnectionState) *connInfo {
	if !reflect.TypeOf(conn).Comparable() { // a foreign listener's: it could be no key
		conn = newReplay(conn, nil)
	}
	info := &connInfo{server: s, conn: conn, raw: raw, tls: state}
	if state != nil && state.NegotiatedProtocol == "h2" {
		info.major.Store(2)
	}
	info.waiting.Store(time.Now().UnixNano())
	s.conns.m.Store(conn, info)
	s.counts.open.Add(1)
	return info
}

func (s *Server) unregister(info *connInfo) {
	if _, ok := s.conns.m.LoadAndDelete(info.conn); ok {
		s.linger(info)
		s.counts.open.Add(-1)
	}
}

type infoKey struct{}

func infoOf(ctx context.Context) *connInfo {
	info, _ := ctx.Value(infoKey{}).(*connInfo)
	return info
}

// AcceptedConn returns the connection that carries a request, as the listener accepted it,
// given the request's context; nil for a request that no Server serves. It is for looking
// at (a *memnet.Conn's Value), never for reading or writing.
func AcceptedConn(ctx context.Context) net.Conn {
	if info := infoOf(ctx); info != nil {
		return info.raw
	}
	return nil
}

// connContext is net/http's ConnContext hook.
func (s *Server) connContext(ctx context.Context, c net.Conn) context.Context {
	if v, ok := s.conns.m.Load(c); ok {
		ctx = context.WithValue(ctx, infoKey{}, v)
	}
	if s.cfg.ConnContext != nil {
		ctx = s.cfg.ConnContext(ctx, c)
	}
	return ctx
}

// connState is net/http's ConnState hook.
func (s *Server) connState(c net.Conn, state http.ConnState) {
	v, ok := s.conns.m.Load(c)
	if !ok {
		return
	}
	info := v.(*connInfo)
	switch state {
	case http.StateActive:
		info.waiting.Store(0)
	case http.StateIdle:
		// Only HTTP/2 is idle before its first request.
		info.saw(2)
		info.waiting.Store(time.Now().UnixNano())
	case http.StateHijacked:
		s.counts.hijacked.Add(1)
		s.unregister(info)
	case http.StateClosed:
		s.unregister(info)
	}
}
