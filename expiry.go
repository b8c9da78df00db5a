package comm

import (
	"context"
	"fmt"
	"time"
)

// watchExpiry arms the timer that ends a connection whose identity has ended: at expires plus the
// grace. The zero time disarms it.
func (c *Conn) watchExpiry(expires time.Time) {
	c.joins.mu.Lock()
	defer c.joins.mu.Unlock()
	if c.expiry != nil {
		c.expiry.Stop()
		c.expiry = nil
	}
	if expires.IsZero() || c.joins.closed {
		return
	}
	c.expiry = time.AfterFunc(time.Until(expires)+c.manager.cfg.ExpiryGrace, func() {
		c.shut(CloseReason{Kind: ReasonExpired, Text: "the identity has expired"})
	})
}

func (c *Conn) stopExpiry() {
	c.joins.mu.Lock()
	defer c.joins.mu.Unlock()
	if c.expiry != nil {
		c.expiry.Stop()
		c.expiry = nil
	}
}

// renew replaces the identity by what the authenticator says of a fresh token.
func (c *Conn) renew(ctx context.Context, f *Frame) (expires time.Time, _ error) {
	if c.manager.cfg.Authenticator == nil {
		return expires, fmt.Errorf("%w: no authenticator", ErrUnauthenticated)
	}
	hs := &Handshake{
		Header: map[string][]string{}, RemoteAddr: c.remote, Token: f.Token,
		Hello: &Hello{Metadata: c.Metadata()}, provider: c.provider.name,
	}
	id, err := c.manager.identify(ctx, hs)
	if err != nil {
		return expires, err
	}
	if id.User != c.Identity().User { // OnConnect may have given the connection another name
		return expires, errUserChanged
	}
	if !id.Expires.IsZero() && !id.Expires.After(time.Now()) {
		return expires, fmt.Errorf("%w: the identity has expired", ErrUnauthenticated)
	}
	c.identify(&id)
	c.watchExpiry(id.Expires)
	return id.Expires, nil
}
