package main

import (
	"log"
	"net/http"
	"strconv"
	"sync/atomic"
)

// serveHTTP serves a handler with net/http on a free port.
func serveHTTP(s *spec, h http.Handler) (addr string, err error) {
	ln, err := s.listen()
	if err != nil {
		return "", err
	}
	srv := &http.Server{Handler: h}
	go func() { log.Fatal(srv.Serve(ln)) }()
	return ln.Addr().String(), nil
}

// groupOf is the group that a client of this request wants.
func groupOf(r *http.Request) int {
	g, _ := strconv.Atoi(r.FormValue("group"))
	return g
}

// groupName is a group's name in hubs that want one.
func groupName(g int) string { return "g" + strconv.Itoa(g) }

// counter is what the main job's middleware does, the same for all subjects.
type counter struct{ handled atomic.Int64 }

func (c *counter) count() { c.handled.Add(1) }

// authorized reports whether a request carries the token.
func authorized(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer "+token }
