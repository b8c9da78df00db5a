package ws

// Direct reports whether c reads and writes its socket directly.
func Direct(c *Conn) bool { return c.raw != nil }

// Holding reports whether c holds a read buffer. Only for a connection at rest.
func Holding(c *Conn) bool { return c.in.buf != nil }

// AcceptKey is acceptKey.
func AcceptKey(key string) string { return acceptKey(key) }
