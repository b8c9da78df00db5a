package graphql

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anasamu/comm"
)

type hubConn struct {
	ID, Provider     string
	User             *string
	Groups           []string
	Labels, Metadata json.RawMessage
	Since            time.Time
}

type hubConnPage struct {
	Nodes []*hubConn
	Total int
	Next  *string
}

// maxPage bounds a page of connections.
const maxPage = 1000

// mayList is the manager, if the authorizer lets the client list what t names.
func mayList(ctx context.Context, what string, t comm.Target) (*comm.Manager, error) {
	return allowed(ctx, what, comm.Access{Action: comm.ActionList, Target: t})
}

// mayListOf is mayList for one provider, if there is one, with what t names there.
func mayListOf(ctx context.Context, what string, t comm.Target, provider Opt[string]) (*comm.Manager, comm.Target, error) {
	name, narrowed := provider.Get()
	if narrowed {
		t = t.InProvider(name)
	}
	m, err := mayList(ctx, what, t)
	if err == nil && narrowed && !slices.Contains(m.Providers(), name) {
		err = badArgument("provider", fmt.Sprintf("%q", shorten(name)), strings.Join(m.Providers(), ", "))
	}
	return m, t, err
}

// allowed is the manager, if the authorizer lets the client do something.
func allowed(ctx context.Context, what string, a comm.Access) (*comm.Manager, error) {
	s, err := actor(ctx)
	if err == nil {
		err = s.Conn().Authorize(a)
	}
	if err != nil {
		return nil, hubError(what, err)
	}
	return TransportOf(ctx).Manager, nil
}

func hubConnections(ctx context.Context, _ Root, args struct {
	Group, Provider Opt[string]
	First           int
	After           string
},
) (*hubConnPage, error) {
	if args.First < 1 || args.First > maxPage {
		return nil, badArgument("first", args.First, fmt.Sprintf("1 to %d", maxPage))
	}
	t, what := comm.ToAll(), "connections"
	if g, ok := args.Group.Get(); ok {
		if err := checkGroup(g); err != nil {
			return nil, err
		}
		t, what = comm.ToGroup(g), fmt.Sprintf("connections of %q", "group:"+g)
	}
	m, t, err := mayListOf(ctx, what, t, args.Provider)
	if err != nil {
		return nil, err
	}
	return pageOf(m, t, args.First, args.After)
}

// pageOf is the first connections behind an id. It keeps no more than a page of them on the way.
func pageOf(m *comm.Manager, t comm.Target, first int, after string) (*hubConnPage, error) {
	p := &hubConnPage{Nodes: []*hubConn{}}
	var least []*comm.Conn // sorted: a page and one more
	for c := range m.Connections(t) {
		p.Total++
		if c.ID() <= after {
			continue
		}
		i, _ := slices.BinarySearchFunc(least, c.ID(), func(o *comm.Conn, id string) int { return strings.Compare(o.ID(), id) })
		if i > first {
			continue
		}
		if len(least) > first {
			least = least[:first]
		}
		least = slices.Insert(least, i, c)
	}
	if len(least) > first {
		least = least[:first]
		p.Next = orNull(least[first-1].ID())
	}
	for _, c := range least {
		n, err := connOf(c)
		if err != nil {
			return nil, err
		}
		p.Nodes = append(p.Nodes, n)
	}
	return p, nil
}

func connOf(c *comm.Conn) (*hubConn, error) {
	i := c.Info()
	labels, err := rawOf(i.Labels)
	if err != nil {
		return nil, err
	}
	metadata, err := rawOf(i.Metadata)
	if i.Groups == nil {
		i.Groups = []string{}
	}
	return &hubConn{i.ID, i.Provider, orNull(i.User), i.Groups, labels, metadata, i.Since.UTC()}, err
}

func hubConnection(ctx context.Context, _ Root, args struct{ ID Opt[string] }) (*hubConn, error) {
	id, ok := args.ID.Get()
	if !ok {
		s, err := actor(ctx)
		if err != nil {
			return nil, hubError("connection", err)
		}
		return connOf(s.Conn())
	}
	m, err := mayList(ctx, fmt.Sprintf("connection %q", shorten(id)), comm.ToConn(id))
	if err != nil {
		return nil, err
	}
	c := m.Connection(id)
	if c == nil {
		return nil, nil
	}
	return connOf(c)
}

type hubPresent struct {
	User        *string
	Connections int
	Since       time.Time
}

func hubPresence(ctx context.Context, _ Root, args struct{ Group string }) ([]hubPresent, error) {
	if err := checkGroup(args.Group); err != nil {
		return nil, err
	}
	m, err := allowed(ctx, "presence"+ofGroup(args.Group), comm.Access{
		Action: comm.ActionPresence, Target: comm.ToGroup(args.Group), Group: args.Group,
	})
	if err != nil {
		return nil, err
	}
	list := []hubPresent{}
	for _, p := range m.Presence(args.Group) {
		list = append(list, hubPresent{orNull(p.User), p.Conns, p.Since.UTC()})
	}
	return list, nil
}

// checkGroup refuses the name of no group.
func checkGroup(name string) error {
	if name == "" || len(name) > comm.MaxNameLength {
		return badArgument("group", fmt.Sprintf("%q", shorten(name)), fmt.Sprintf("1 to %d bytes", comm.MaxNameLength))
	}
	return nil
}

type hubCounters struct {
	ConnectionsTotal, ConnectionsActive                                 int64
	Requests, RequestsFailed                                            int64
	MessagesIn, MessagesInFailed                                        int64
	MessagesOut, MessagesOutFailed                                      int64
	BytesIn, BytesOut                                                   int64
	AccessDenied, AccessFailed                                          int64
	Drops, Closed                                                       json.RawMessage
	ResponseAverage, ResponseP50, ResponseP95, ResponseP99, ResponseMax float64
}

func hubStats(ctx context.Context, _ Root, args struct{ Provider Opt[string] }) (*hubCounters, error) {
	m, _, err := mayListOf(ctx, "stats", comm.ToAll(), args.Provider)
	if err != nil {
		return nil, err
	}
	s, err := m.Stats(args.Provider.Or(""))
	if err != nil {
		return nil, hubError("stats", err)
	}
	drops, err := rawOf(s.Drops)
	if err != nil {
		return nil, err
	}
	closed, err := rawOf(s.Closed)
	return &hubCounters{
		s.ConnectionsTotal, s.ConnectionsActive, s.Requests, s.RequestsFailed, s.MessagesIn, s.MessagesInFailed,
		s.MessagesOut, s.MessagesOutFailed, s.BytesIn, s.BytesOut, s.AccessDenied, s.AccessFailed, drops, closed,
		s.ResponseAverage.Seconds(), s.ResponseP50.Seconds(), s.ResponseP95.Seconds(), s.ResponseP99.Seconds(), s.ResponseMax.Seconds(),
	}, err
}
