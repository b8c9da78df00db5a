package commquic

import (
	"context"

	"github.com/quic-go/quic-go"
)

// httpServer serves HTTP/3 on the connections that chose it.
type httpServer interface {
	// serve serves one connection until it ends.
	serve(ctx context.Context, c *quic.Conn) error
	// shutdown lets requests under way end and refuses new ones.
	shutdown(ctx context.Context)
}
