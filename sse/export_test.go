package sse

import (
	"context"
	"io"
	"net/http"

	"github.com/anasamu/comm"
)

// AcceptsStream is acceptsStream.
var AcceptsStream = acceptsStream

// Format is the format of all streams.
var Format comm.Format = format{comm.JSON()}

// EachFrame is eachFrame.
var EachFrame = eachFrame

// MaxUpward is maxUpward.
const MaxUpward = maxUpward

// SendRaw sends bytes in the place of a frame through a carrier of Dialer. The refusal of what is no
// frame comes in the stream too, so that it is no error here.
func SendRaw(ctx context.Context, c comm.Carrier, data []byte) error {
	d := c.(*dialed)
	res, err := d.dialer.post(ctx, data, nameHeaders(d.names.Load()))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusAccepted || res.StatusCode == http.StatusBadRequest {
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	return refusalOf(res)
}
