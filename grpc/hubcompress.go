package commgrpc

import (
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
)

// compress has a stream's messages compressed where its client takes that, and they are to be. Otherwise they leave as
// they are, even to a client that compresses its own: grpc-go would answer in kind.
func (h *hub) compress(t *transport) error {
	ctx := t.stream.Context()
	if !h.compresses {
		return grpc.SetSendCompressor(ctx, encoding.Identity)
	}
	accepted, err := grpc.ClientSupportedCompressors(ctx)
	if err != nil || !slices.Contains(accepted, gzip.Name) {
		return grpc.SetSendCompressor(ctx, encoding.Identity)
	}
	// What is compressed is freed before it has left, so every send may wait. And a mark goes with each, so none is a
	// message that another stream has made ready, uncompressed.
	t.unsent.most = 0
	return grpc.SetSendCompressor(ctx, gzip.Name)
}
