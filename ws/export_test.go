package ws

// Direct reports whether c reads and writes its socket directly.
func Direct(c *Conn) bool { return c.raw != nil }

// AcceptKey is acceptKey.
func AcceptKey(key string) string { return acceptKey(key) }
