package commhttp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/anasamu/comm"
)

// The bounds of api/tap: it ends by itself.
const (
	defaultTapTime = 30 * time.Second
	maxTapTime     = 60 * time.Second
	maxTapEvents   = 1000
	tapBuffer      = 256
	tapWrite       = 5 * time.Second // for one write; a reader that takes longer is let go
)

// tapEvent is one event of api/tap.
type tapEvent struct {
	Direction string          `json:"direction"` // in or out
	Conn      string          `json:"conn"`
	Provider  string          `json:"provider"`
	At        time.Time       `json:"at"`
	Frame     json.RawMessage `json:"frame"`
}

// tap streams the frames of one connection or one message type, for a while.
func (a *admin) tap(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	filter := comm.TapFilter{Conn: q.Get("conn"), Type: q.Get("type")}
	length := defaultTapTime
	if s := q.Get("for"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 || d > maxTapTime {
			Refuse(w, r, http.StatusBadRequest, "for="+strconv.Quote(clip(s))+": allowed is a duration up to "+maxTapTime.String()+", such as 30s")
			return
		}
		length = d
	}
	if filter.Conn != "" && a.manager.Connection(filter.Conn) == nil {
		Refuse(w, r, http.StatusNotFound, "no connection of this id")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), length)
	defer cancel()
	t, err := a.manager.Tap(ctx, filter, tapBuffer)
	if err != nil {
		refuseTap(w, r, err)
		return
	}
	defer t.Close()
	comm.MarkStreaming(r.Context())
	stream := &tapStream{w: w, rc: http.NewResponseController(w)}
	if stream.begin() == nil {
		stream.run(t)
	}
}

func refuseTap(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, comm.ErrTarget) {
		Refuse(w, r, http.StatusBadRequest, "name what to tap: ?conn=ID or ?type=TYPE")
		return
	}
	if le, ok := errors.AsType[*comm.LimitError](err); ok {
		w.Header().Set("Retry-After", "1")
		Refuse(w, r, http.StatusServiceUnavailable, fmt.Sprintf("%s: at most %d", le.Limit, le.Max))
		return
	}
	refuseComm(w, r, err)
}

// tapStream writes Server-Sent Events.
type tapStream struct {
	w    http.ResponseWriter
	rc   *http.ResponseController
	buf  []byte
	sent int
}

func (s *tapStream) begin() error {
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.w.Header().Set("Cache-Control", "no-store")
	s.w.Header().Set("X-Accel-Buffering", "no")
	s.buf = append(s.buf, ": tapping\n\n"...)
	return s.flush()
}

// run writes events until the tap ends, its share is used up or the reader is gone. What is at hand
// leaves in one write.
func (s *tapStream) run(t *comm.Tap) {
	for e := range t.Events() {
		s.add(e)
		for more := true; more && s.sent < maxTapEvents; {
			select {
			case e, ok := <-t.Events():
				if more = ok; ok {
					s.add(e)
				}
			default:
				more = false
			}
		}
		if s.flush() != nil {
			return
		}
		if s.sent >= maxTapEvents {
			break
		}
	}
	s.buf = fmt.Appendf(s.buf, "event: end\ndata: {\"events\":%d,\"dropped\":%d}\n\n", s.sent, t.Dropped())
	_ = s.flush() // the reader may have gone: then nobody misses it
}

func (s *tapStream) add(e comm.TapEvent) {
	frame, err := comm.JSON().AppendFrame(nil, e.Frame)
	if err != nil {
		return
	}
	direction := "out"
	if e.In {
		direction = "in"
	}
	data, err := json.Marshal(tapEvent{direction, e.Conn, e.Provider, e.At, frame})
	if err != nil {
		return
	}
	s.sent++
	s.buf = append(s.buf, "data: "...)
	s.buf = append(s.buf, data...)
	s.buf = append(s.buf, "\n\n"...)
}

func (s *tapStream) flush() error {
	_ = s.rc.SetWriteDeadline(time.Now().Add(tapWrite))
	_, err := s.w.Write(s.buf)
	s.buf = s.buf[:0]
	if err == nil {
		err = s.rc.Flush()
	}
	_ = s.rc.SetWriteDeadline(time.Time{})
	return err
}
