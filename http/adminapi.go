package commhttp

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/anasamu/comm"
)

const (
	defaultListed = 200
	maxListed     = 1000
)

// adminConn is one connection in api/connections.
type adminConn struct {
	ID            string            `json:"id"`
	Provider      string            `json:"provider"`
	User          string            `json:"user"`
	Groups        []string          `json:"groups"`
	Labels        map[string]string `json:"labels"`
	Metadata      map[string]string `json:"metadata"`
	Since         time.Time         `json:"since"`
	Remote        string            `json:"remote"`
	MessagesIn    int64             `json:"messages_in"`
	MessagesOut   int64             `json:"messages_out"`
	BytesIn       int64             `json:"bytes_in"`
	BytesOut      int64             `json:"bytes_out"`
	QueueMessages int               `json:"queue_messages"`
	QueueBytes    int               `json:"queue_bytes"`
	Dropped       int64             `json:"dropped"`
	Failed        int64             `json:"failed_in"`
	LastActivity  time.Time         `json:"last_activity"`
	RoundTrip     float64           `json:"rtt_ms"`
}

func newAdminConn(c *comm.Conn) adminConn {
	v := adminConnStats(c.Stats())
	v.ID, v.Provider, v.User, v.Groups, v.Labels, v.Metadata = c.ID(), c.Provider(), c.User(), c.Groups(), c.Labels(), c.Metadata()
	v.Since = c.Since().UTC()
	if a := c.RemoteAddr(); a != nil {
		v.Remote = a.String()
	}
	if v.Groups == nil {
		v.Groups = []string{}
	}
	if v.Labels == nil {
		v.Labels = map[string]string{}
	}
	if v.Metadata == nil {
		v.Metadata = map[string]string{}
	}
	return v
}

// adminConnStats has the numbers of a connection alone.
func adminConnStats(s comm.ConnStats) adminConn {
	return adminConn{
		MessagesIn: s.MessagesIn, MessagesOut: s.MessagesOut, BytesIn: s.BytesIn, BytesOut: s.BytesOut, Failed: s.FailedIn,
		QueueMessages: s.QueueMessages, QueueBytes: s.QueueBytes, Dropped: s.Drops, LastActivity: s.LastActivity.UTC(),
		RoundTrip: millis(s.RoundTrip),
	}
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// connections lists up to limit connections, the oldest first.
func (a *admin) connections(w http.ResponseWriter, r *http.Request) {
	limit := defaultListed
	if s := r.URL.Query().Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxListed {
			Refuse(w, r, http.StatusBadRequest, "limit="+strconv.Quote(clip(s))+": allowed is 1 to "+strconv.Itoa(maxListed))
			return
		}
		limit = n
	}
	list := make([]adminConn, 0, min(limit, 64))
	for _, c := range oldest(a.manager.Connections(comm.ToAll()), limit) {
		list = append(list, newAdminConn(c))
	}
	answerJSON(w, http.StatusOK, map[string]any{
		"connections": list, "total": a.manager.ConnectionCount(comm.ToAll()),
	})
}

// oldest picks the n connections that came first, in their order. It holds no more than twice as
// many, and sorts them when it is full; from then on it passes over all that are younger than the
// nth. The cost is O(all log n) at worst.
func oldest(all iter.Seq[*comm.Conn], n int) []*comm.Conn {
	var list []*comm.Conn
	var nth *comm.Conn
	for c := range all {
		if nth != nil && byAge(c, nth) > 0 {
			continue
		}
		if list = append(list, c); len(list) == 2*n {
			slices.SortFunc(list, byAge)
			list, nth = list[:n], list[n-1]
		}
	}
	slices.SortFunc(list, byAge)
	return list[:min(n, len(list))]
}

// byAge gives those of one instant an order too, so that a list stays as it is from one poll to the next.
func byAge(a, b *comm.Conn) int {
	return cmp.Or(a.Since().Compare(b.Since()), cmp.Compare(a.ID(), b.ID()))
}

func (a *admin) closeConnection(w http.ResponseWriter, r *http.Request) {
	err := a.manager.CloseConnection(r.Context(), r.PathValue("id"), "closed by an administrator")
	switch {
	case errors.Is(err, comm.ErrNotFound):
		Refuse(w, r, http.StatusNotFound, "no connection of this id")
	case err != nil:
		RefuseError(w, r, err)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// webTransport tells the page where it can open sessions.
func (a *admin) webTransport(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, http.StatusOK, a.transport)
}

// maxSent bounds the body of api/send.
const maxSent = 1 << 20

// send sends the message object in the body to the address in its to, whatever its Content-Type is:
// curl -d says that it is a form. What keeps pages of other origins out is the check of Origin.
func (a *admin) send(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(base(w), r.Body, maxSent))
	if err != nil {
		RefuseError(w, r, err)
		return
	}
	f, err := comm.JSON().ParseFrame(body)
	if err == nil && f.Op != comm.OpMessage {
		err = &comm.FrameError{Code: comm.CodeBadFrame, Text: "send takes a message, not " + f.Op.String()}
	}
	if err != nil {
		refuseComm(w, r, err)
		return
	}
	target, err := comm.ParseTarget(f.Message.To())
	if err != nil {
		_ = Problem{Status: http.StatusBadRequest, Detail: "member \"to\": allowed is conn:ID, user:NAME, group:NAME or all"}.Write(w, r)
		return
	}
	m, err := f.Message.With(comm.WithTimestamp(time.Now().UTC())) // makes an id where there is none
	if err != nil {
		refuseComm(w, r, err)
		return
	}
	d, err := a.manager.Send(r.Context(), target, m)
	if err != nil {
		refuseComm(w, r, err)
		return
	}
	answerJSON(w, http.StatusOK, map[string]any{
		"id": d.ID, "matched": d.Matched, "queued": d.Queued, "dropped": d.Dropped, "closed": d.Closed,
	})
}

// refuseComm answers with what an error of the manager means to a client.
func refuseComm(w http.ResponseWriter, r *http.Request, err error) {
	Refuse(w, r, comm.HTTPStatus(err), comm.RefusalFrame("", err).Text)
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // only of values of this package
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that has gone needs no answer
}
