package commquic

import "crypto/tls"

// dialSettings are what DialOptions set.
type dialSettings struct {
	conf Config
	tls  *tls.Config
}
