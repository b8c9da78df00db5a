package commhttp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/internal/retryafter"
	"github.com/anasamu/comm/internal/uplink"
)

// DialOption is a setting of [Dialer].
type DialOption func(*dialer)

// WithHTTPClient sets the client whose transport, jar and timeout the requests use; its timeout must
// be longer than a poll, 30 s. Redirects are not followed: they would hand the session's secret on.
// The default is [http.DefaultClient].
func WithHTTPClient(c *http.Client) DialOption {
	return func(d *dialer) { d.client = *c }
}

// WithDialHeader adds headers to every request, such as Authorization or Origin.
func WithDialHeader(h http.Header) DialOption {
	return func(d *dialer) { d.header = h.Clone() }
}

// WithPatience sets for how long polls that fail on the way are made again, counted from the last
// answer. The default, and the most that is of use, is 45 s, after which the gateway has given the
// connection up. With 0 the first failure ends the connection, and the client resumes, perhaps by
// another carrier.
func WithPatience(d time.Duration) DialOption {
	return func(of *dialer) { of.patience = d }
}

// Dialer returns the carrier for a [comm.Client] that polls url (http or https), the poll path of a
// gateway. An answer that is lost on the way is asked for again, so what the gateway has handed over
// arrives once and in order, as long as the connection is reached again within 45 s.
//
// What Dial and Receive fail with: a [comm.CloseReason] that is final for refused credentials and a
// bad url, one that is not for a connection that is gone, [*comm.LimitError] for a gateway that has
// no room, and [*comm.PeerError] for everything else that the gateway says.
func Dialer(url string, opts ...DialOption) comm.Dialer {
	d := &dialer{url: url, client: *http.DefaultClient, patience: pollIdle}
	for _, o := range opts {
		o(d)
	}
	d.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return d
}

type dialer struct {
	url      string
	client   http.Client
	header   http.Header
	patience time.Duration
}

// Name returns "http".
func (d *dialer) Name() string { return "http" }

// Dial implements comm.Dialer.
func (d *dialer) Dial(ctx context.Context, hello *comm.Frame) (comm.Carrier, error) {
	u, err := url.Parse(d.url)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, comm.CloseReason{Kind: comm.ReasonProtocol, Text: "not an http or https URL: " + strconv.Quote(d.url), Err: err}
	}
	c := &polled{dialer: d, codec: comm.JSON(), url: u, heard: time.Now()}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.answers = make(chan []*comm.Frame, 1)
	c.out = newUplink(c)
	body, err := c.codec.AppendFrame(nil, hello)
	if err != nil {
		return nil, err
	}
	resp, err := c.do(ctx, http.MethodPost, d.url, body)
	if err != nil {
		return nil, err
	}
	if c.frames, err = c.take(resp); err != nil {
		return nil, err
	}
	if c.id == "" {
		return nil, comm.CloseReason{Kind: comm.ReasonProtocol, Text: "the answer holds no welcome"}
	}
	c.polling.Go(c.run)
	return c, nil
}

// polled is one open connection of a client.
type polled struct {
	dialer *dialer
	codec  comm.Codec
	url    *url.URL
	ctx    context.Context // ends with Close
	cancel context.CancelCauseFunc

	id, session string // from welcome; set before Dial returns
	out         *uplink.Queue

	// The poller's own; err is the receiver's once answers is closed.
	cursor  string
	heard   time.Time // the last answer of any kind
	answers chan []*comm.Frame
	err     error
	polling sync.WaitGroup

	frames []*comm.Frame // of the last answer; the receiver's own
}

// answerBody is a poll's answer.
type answerBody struct {
	Conn   string            `json:"conn"`
	Cursor string            `json:"cursor"`
	Frames []json.RawMessage `json:"frames"`
}

// maxAnswer bounds an answer: what the server keeps, a frame of its largest size, and room to spare.
const maxAnswer = 64 << 20

// do sends a request with the connection's names, which ends with ctx and with the carrier.
func (c *polled) do(ctx context.Context, method, target string, body []byte) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.ctx, func() { cancel(context.Cause(c.ctx)) })
	release := func() { stop(); cancel(nil) }
	req, err := http.NewRequestWithContext(ctx, method, target, newBody(body))
	if err != nil {
		release()
		return nil, err
	}
	for name, values := range c.dialer.header {
		req.Header[name] = values
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.id != "" {
		req.Header.Set(headerSession, c.session)
		if method != http.MethodGet {
			req.Header.Set(headerConnection, c.id)
		}
	}
	resp, err := c.dialer.client.Do(req)
	if err != nil {
		release()
		return nil, errors.Join(context.Cause(c.ctx), err)
	}
	resp.Body = &releasing{resp.Body, sync.OnceFunc(release)}
	return resp, nil
}

// releasing lets go of the request's context with the body.
type releasing struct {
	io.ReadCloser
	release func()
}

func (b *releasing) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}

// take reads the answer to a poll, or to the hello.
func (c *polled) take(resp *http.Response) ([]*comm.Frame, error) {
	defer drain(resp)
	switch {
	case resp.StatusCode == http.StatusNoContent:
		c.heard = time.Now()
		return nil, nil
	case resp.StatusCode != http.StatusOK:
		return nil, refusalOf(c.codec, resp)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err // cut: the same poll again repeats it
	}
	frames, body, err := c.parse(data)
	if err != nil {
		return nil, comm.CloseReason{Kind: comm.ReasonProtocol, Text: "the answer is no answer to a poll", Err: err}
	}
	c.cursor, c.heard = body.Cursor, time.Now()
	return frames, nil
}

// parse decodes an answer whole, so that what cannot be read moves nothing on. Frames of a later
// version that this one does not know are skipped.
func (c *polled) parse(data []byte) ([]*comm.Frame, answerBody, error) {
	var body answerBody
	if err := json.Unmarshal(data, &body); err != nil {
		return nil, body, err
	}
	if body.Cursor == "" || body.Frames == nil {
		return nil, body, errors.New("no cursor or no frames")
	}
	frames := make([]*comm.Frame, 0, len(body.Frames))
	for _, raw := range body.Frames {
		f, err := c.codec.ParseFrame(raw)
		if fe, ok := errors.AsType[*comm.FrameError](err); ok && fe.Code == comm.CodeUnknownOp {
			continue
		}
		if err != nil {
			return nil, body, err
		}
		if f.Op == comm.OpWelcome && c.id == "" {
			c.id, c.session = f.Welcome.Conn, f.Welcome.Session
			c.out.Limit(f.Welcome.MaxMessage)
		}
		frames = append(frames, f)
	}
	return frames, body, nil
}

// drain reads what is left of a body, within reason, so that its connection can be used again.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	resp.Body.Close()
}

// refusalOf says what a status and the error frame in its body mean.
func refusalOf(codec comm.Codec, resp *http.Response) error {
	peer := &comm.PeerError{Message: fmt.Sprintf("the server answered %s", resp.Status)}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if f, err := codec.ParseFrame(body); err == nil && f.Op == comm.OpError {
		peer.Code, peer.Message = f.Code, f.Text
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		if peer.Code == comm.CodeSessionRevoked {
			return peer
		}
		return comm.CloseReason{Kind: comm.ReasonUnauthorized, Text: peer.Message, Err: peer}
	case http.StatusGone:
		return comm.CloseReason{Kind: comm.ReasonLost, Text: peer.Message, Err: peer}
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return &comm.LimitError{Limit: peer.Message, Retry: min(retryafter.Of(resp.Header), retryafter.Most)}
	}
	if peer.Code == "" {
		return &statusError{resp.StatusCode, resp.Status}
	}
	return peer
}

// statusError is an answer that is not the gateway's: a proxy's, or of something else on that path.
type statusError struct {
	code   int
	status string
}

func (e *statusError) Error() string { return "commhttp: polling: the server answered " + e.status }
