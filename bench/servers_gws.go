package main

import (
	"log"
	"net"

	"github.com/lxzan/gws"
)

// gwsSubject is lxzan/gws.
type gwsSubject struct{}

func init() { register(gwsSubject{}) }

func (gwsSubject) Name() string   { return "gws" }
func (gwsSubject) Module() string { return "github.com/lxzan/gws" }
func (gwsSubject) Config() string {
	return "its own server (gws.NewServer, RunListener) with a goroutine a connection and serial handling, its default; WriteMessage in OnMessage; CheckUtf8Enabled for text; for hubs NewBroadcaster over a slice of connections under a read lock"
}

type gwsEcho struct{ gws.BuiltinEventHandler }

func (gwsEcho) OnMessage(socket *gws.Conn, message *gws.Message) {
	defer message.Close()
	_ = socket.WriteMessage(message.Opcode, message.Bytes()) // gws closes the connection by itself
}

func (gwsSubject) Echo(s *spec) (entry, error) {
	return gwsServe(s, gwsEcho{}, &gws.ServerOption{CheckUtf8Enabled: s.Text, PermessageDeflate: gwsDeflate(s)})
}

func gwsDeflate(s *spec) gws.PermessageDeflate {
	return gws.PermessageDeflate{Enabled: s.Deflate, Level: 1, Threshold: 1}
}

func gwsServe(s *spec, h gws.Event, o *gws.ServerOption) (entry, error) {
	ln, err := s.listen()
	if err != nil {
		return entry{}, err
	}
	srv := gws.NewServer(h, o)
	srv.OnError = func(net.Conn, error) {} // connections that end at the end of a run
	go func() { log.Fatal(srv.RunListener(ln)) }()
	return entry{Addr: ln.Addr().String(), WS: "/"}, nil
}
