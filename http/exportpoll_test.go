package commhttp

import (
	"context"
	"errors"
	"io"
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
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	f, err := p.codec.ParseFrame(body)
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		return errors.Join(err, errors.New(resp.Status))
	}
	p.answers <- []*comm.Frame{f}
	return nil
}

// ParsePoll reads the numbers of a poll.
var ParsePoll = parsePoll
