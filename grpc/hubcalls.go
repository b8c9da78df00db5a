package commgrpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/status"
	protobuf "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/anasamu/comm"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// Send implements commv1.HubServiceServer.
func (h *hub) Send(ctx context.Context, r *commv1.SendRequest) (*commv1.SendResponse, error) {
	id, d, err := h.deliver(ctx, r.GetId(), r.GetMessage(), protobuf.Size(r))
	if err != nil {
		return nil, callError(ctx, err)
	}
	return &commv1.SendResponse{Id: id, Delivery: d}, nil
}

// Broadcast implements commv1.HubServiceServer.
func (h *hub) Broadcast(ctx context.Context, r *commv1.BroadcastRequest) (*commv1.BroadcastResponse, error) {
	m, size := r.GetMessage(), protobuf.Size(r)
	switch m.GetTo() {
	case "":
		m = protobuf.CloneOf(m)
		if m == nil {
			m = new(commv1.Message)
		}
		m.To = "all"
	case "all":
	default:
		return nil, callError(ctx, badArgument("message.to", m.GetTo(), "all, or nothing"))
	}
	id, d, err := h.deliver(ctx, r.GetId(), m, size)
	if err != nil {
		return nil, callError(ctx, err)
	}
	return &commv1.BroadcastResponse{Id: id, Delivery: d}, nil
}

// deliver sends a message in the caller's name, and tells what became of it.
func (h *hub) deliver(ctx context.Context, id string, w *commv1.Message, size int) (string, *commv1.Delivery, error) {
	f, err := h.messageOf(id, w, size)
	if err != nil {
		return "", nil, err
	}
	v, err := h.visit(ctx)
	if err != nil {
		return "", nil, err
	}
	defer v.end()
	to := f.Message.To()
	if to != "" {
		f.Delivery = new(comm.Delivery)
	}
	if err := v.send(ctx, f); err != nil || to == "" {
		return f.ID, nil, err
	}
	return f.ID, toWireDelivery(*f.Delivery, v.reaches(to)), nil
}

// toWireDelivery leaves out the connection of the call itself.
func toWireDelivery(d comm.Delivery, itself bool) *commv1.Delivery {
	if itself && d.Matched > 0 && d.Queued > 0 {
		d.Matched--
		d.Queued--
	}
	w := &commv1.Delivery{
		Matched: int64(d.Matched), Queued: int64(d.Queued), Dropped: int64(d.Dropped), Closed: int64(d.Closed), Remote: d.Remote,
	}
	if d.Position.Log != "" {
		w.Position = toWirePosition(d.Position)
	}
	return w
}

// The pages of ListConnections.
const (
	defaultPage = 100
	maxPage     = 1000
)

// ListConnections implements commv1.HubServiceServer.
func (h *hub) ListConnections(ctx context.Context, r *commv1.ListConnectionsRequest) (*commv1.ListConnectionsResponse, error) {
	page, err := h.list(ctx, r)
	return page, callError(ctx, err)
}

func (h *hub) list(ctx context.Context, r *commv1.ListConnectionsRequest) (*commv1.ListConnectionsResponse, error) {
	size := int(r.GetPageSize())
	switch {
	case size == 0:
		size = defaultPage
	case size < 0 || size > maxPage:
		return nil, badArgument("page_size", size, fmt.Sprintf("1 to %d", maxPage))
	}
	after, err := afterToken(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	t := comm.ToAll()
	if r.GetTarget() != "" {
		if t, err = comm.ParseTarget(r.GetTarget()); err != nil {
			return nil, badArgument("target", r.GetTarget(), "conn:ID, user:NAME, group:NAME or all")
		}
	}
	v, err := h.permitted(ctx, comm.ActionList, t, r.GetProvider())
	if err != nil {
		return nil, err
	}
	defer v.end()
	if p := r.GetProvider(); p != "" {
		t = t.InProvider(p)
	}
	return h.page(t, v.conn, size, after), nil
}

// permitted admits the caller, if the authorizer allows what it wants to do to t, narrowed to a provider.
func (h *hub) permitted(ctx context.Context, a comm.Action, t comm.Target, provider string) (*visit, error) {
	v, err := h.visit(ctx)
	if err != nil {
		return nil, err
	}
	if provider != "" {
		t = t.InProvider(provider)
	}
	if err = v.conn.Authorize(comm.Access{Action: a, Target: t}); err == nil && provider != "" {
		if list := h.host.Manager().Providers(); !slices.Contains(list, provider) {
			err = &comm.PeerError{Code: comm.CodeNotFound, Message: fmt.Sprintf("provider %q: allowed is one of %s", shorten(provider), strings.Join(list, ", "))}
		}
	}
	if err != nil {
		v.end()
		return nil, err
	}
	return v, nil
}

// tokenPrefix tells page tokens from other strings; clients are not to read them.
const tokenPrefix = "after:"

func afterToken(token string) (id string, err error) {
	if token == "" {
		return "", nil
	}
	id, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok || id == "" || !isID(id) {
		return "", badArgument("page_token", token, "the next_page_token of the page before")
	}
	return id, nil
}

// page is the first connections behind an id, but for one. It keeps no more than a page of them on the way.
func (h *hub) page(t comm.Target, but *comm.Conn, size int, after string) *commv1.ListConnectionsResponse {
	var least []*comm.Conn // sorted: a page and one more
	w := new(commv1.ListConnectionsResponse)
	for c := range h.host.Manager().Connections(t) {
		if c == but {
			continue
		}
		w.TotalSize++
		if c.ID() <= after {
			continue
		}
		i, _ := slices.BinarySearchFunc(least, c.ID(), func(o *comm.Conn, id string) int { return strings.Compare(o.ID(), id) })
		if i > size {
			continue
		}
		least = slices.Insert(least[:min(len(least), size)], i, c)
	}
	if len(least) > size {
		least = least[:size]
		w.NextPageToken = tokenPrefix + least[size-1].ID()
	}
	for _, c := range least {
		w.Connections = append(w.Connections, toWireConnection(c.Info()))
	}
	return w
}

func toWireConnection(i comm.ConnInfo) *commv1.Connection {
	return &commv1.Connection{
		Id: i.ID, Provider: i.Provider, User: i.User, Groups: i.Groups, Labels: i.Labels, Metadata: i.Metadata,
		Since: toWireTime(i.Since),
	}
}

// CloseConnection implements commv1.HubServiceServer.
func (h *hub) CloseConnection(ctx context.Context, r *commv1.CloseConnectionRequest) (*commv1.CloseConnectionResponse, error) {
	if err := h.closeConnection(ctx, r.GetId(), r.GetReason()); err != nil {
		return nil, callError(ctx, err)
	}
	return new(commv1.CloseConnectionResponse), nil
}

func (h *hub) closeConnection(ctx context.Context, id, reason string) error {
	if id == "" {
		return badArgument("id", id, "the id of a connection")
	}
	v, err := h.permitted(ctx, comm.ActionClose, comm.ToConn(id), "")
	if err != nil {
		return err
	}
	defer v.end()
	return h.host.Manager().CloseConnection(ctx, id, reason)
}

// GetStats implements commv1.HubServiceServer.
func (h *hub) GetStats(ctx context.Context, r *commv1.GetStatsRequest) (*commv1.GetStatsResponse, error) {
	v, err := h.permitted(ctx, comm.ActionList, comm.ToAll(), r.GetProvider())
	if err != nil {
		return nil, callError(ctx, err)
	}
	defer v.end()
	s, err := h.host.Manager().Stats(r.GetProvider())
	if err != nil {
		return nil, callError(ctx, err)
	}
	return toWireStats(s), nil
}

func toWireStats(s comm.Stats) *commv1.GetStatsResponse {
	w := &commv1.GetStatsResponse{
		ConnectionsTotal: s.ConnectionsTotal, ConnectionsActive: s.ConnectionsActive,
		Requests: s.Requests, RequestsFailed: s.RequestsFailed,
		MessagesIn: s.MessagesIn, MessagesInFailed: s.MessagesInFailed,
		MessagesOut: s.MessagesOut, MessagesOutFailed: s.MessagesOutFailed,
		BytesIn: s.BytesIn, BytesOut: s.BytesOut, AccessDenied: s.AccessDenied, AccessFailed: s.AccessFailed, Drops: s.Drops, Closed: s.Closed,
		ResponseAverage: durationpb.New(s.ResponseAverage), ResponseP50: durationpb.New(s.ResponseP50),
		ResponseP95: durationpb.New(s.ResponseP95), ResponseP99: durationpb.New(s.ResponseP99),
		ResponseMax: durationpb.New(s.ResponseMax),
	}
	for typ, t := range s.Types {
		if w.Types == nil {
			w.Types = make(map[string]*commv1.TypeStats)
		}
		w.Types[valid(typ)] = &commv1.TypeStats{
			Handled: t.Handled, Failed: t.Failed, Average: durationpb.New(t.Average), P50: durationpb.New(t.P50), P99: durationpb.New(t.P99),
		}
	}
	return w
}

// callError is the status of a call that failed; nil is OK. The end of the call's own time is its own status, whatever
// it has cut short.
func callError(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled): // whatever came of it, nobody is told
		return status.FromContextError(ctx.Err()).Err()
	case ctx.Err() != nil:
		err = &comm.PeerError{Code: comm.CodeTimeout, Message: "the call's deadline came first"}
	}
	if r, ok := errors.AsType[comm.CloseReason](err); ok {
		return ending(r).Err()
	}
	return refusedStatus("", err).Err()
}

// badArgument names a field of a request, its value, and what is allowed.
func badArgument(field string, value any, allowed string) error {
	text := shorten(fmt.Sprint(value))
	return &comm.PeerError{Code: comm.CodeBadFrame, Message: fmt.Sprintf("%s %q: allowed is %s", field, text, allowed)}
}

func shorten(s string) string {
	if len(s) <= 40 {
		return s
	}
	return strings.ToValidUTF8(s[:40], "") + "..."
}
