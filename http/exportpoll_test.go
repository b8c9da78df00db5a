package commhttp

import (
	"context"
	"net/http"

	"github.com/anasamu/comm"
)

// PollSendRaw sends bytes in the place of a frame through a carrier of Dialer. The error frame that
// refuses them comes in the answer; it is handed to the receiver, where other carriers have it.
func PollSendRaw(ctx context.Context, c comm.Carrier, data []byte) error {
	p := c.(*polled)
	resp, err := p.do(ctx, http.MethodPost, p.dialer.url, data)
	if err != nil {
		return err
	}
	defer drain(resp)
	if resp.StatusCode == http.StatusAccepted {
		return nil
	}
	f, err := readRefusal(p.codec, resp)
	if f != nil && resp.StatusCode == http.StatusBadRequest {
		p.answers <- []*comm.Frame{f}
	}
	return err
}

// ParsePoll reads the numbers of a poll.
var ParsePoll = parsePoll
