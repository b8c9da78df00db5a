package commquic

import (
	"context"

	"github.com/quic-go/quic-go"

	"github.com/anasamu/comm"
)

// httpServer serves HTTP/3 on the connections that chose it.
type httpServer interface {
	// serve serves one connection until it ends.
	serve(ctx context.Context, c *quic.Conn) error
	// shutdown lets requests under way end and refuses new ones.
	shutdown(ctx context.Context)
}

// http3 makes what serves HTTP/3 for one start, or nil if it is not served: then it is not offered either.
func (p *Provider) http3(comm.Host) httpServer { return nil }
