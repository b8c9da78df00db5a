package ws

import "github.com/anasamu/comm"

// Direct reports whether c reads and writes its socket directly.
func Direct(c *Conn) bool { return c.raw != nil }

// AcceptKey is acceptKey.
func AcceptKey(key string) string { return acceptKey(key) }

// ConnOf is the connection of a carrier that Dialer's dialer opened.
func ConnOf(c comm.Carrier) *Conn { return c.(*dialed).conn }

// Parkable reports whether connections on sockets are parked in this build.
func Parkable() bool { return parkable }
