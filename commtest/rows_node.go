package commtest

import (
	"github.com/anasamu/comm"
)

// nodeRows hold two managers, joined by a Bus, to the meaning of targets and of Delivery: the first
// with the provider, the second with a Pipe.
var nodeRows = []row{
	{name: "nodes/targets", run: nodeTargetsRow},
	{name: "nodes/logs are each node's own", run: nodeLogsRow},
}

// twoNodes starts both; the returned function connects to the second.
func (e *env) twoNodes(opts ...comm.Option) (second *comm.Manager, connect func(hellos ...hello) *peer) {
	e.Helper()
	var bus Bus
	e.start(append(opts, comm.WithBackplane(bus.Node()))...)
	second = e.manager(NewPipe(), append(opts, comm.WithBackplane(bus.Node()))...)
	there := &env{
		T: e.T, mode: e.mode, log: e.log, m: second, endpoint: e.reach(second, PipeName),
		setup: Setup{Dialer: func(to Endpoint) comm.Dialer { return PipeDialer(to) }},
	}
	return second, there.connect
}

func nodeTargetsRow(e *env) {
	second, connect := e.twoNodes(comm.WithAuthenticator(users), comm.WithOpenAccess())
	ann1, bob := e.connect(asToken("ann/red"), inGroups("g")), e.connect(asToken("bob"))
	ann2, eve := connect(asToken("ann/blue"), inGroups("g")), connect(asToken("eve"))
	ann1.joined("g")
	ann2.joined("g")
	for i, c := range []struct {
		target      comm.Target
		here, there int
		to          []*peer
	}{
		{comm.ToGroup("g"), 1, 1, []*peer{ann1, ann2}},
		{comm.ToUser("ann"), 1, 1, []*peer{ann1, ann2}},
		{comm.ToUser("eve"), 0, 1, []*peer{eve}},
		{comm.ToAll(), 2, 2, []*peer{ann1, ann2, bob, eve}},
		{comm.ToAll().ExceptUser("ann"), 1, 1, []*peer{bob, eve}},
		{comm.ToGroup("g").Label("team", "blue"), 0, 1, []*peer{ann2}},
		{comm.ToGroups("g", "h"), 1, 1, []*peer{ann1, ann2}},
	} {
		if d := e.send(c.target, i, c.here); !d.Remote {
			e.Errorf("%v: %+v does not say that other nodes were told", c.target, d)
		}
		for _, p := range c.to {
			p.gets(i)
		}
	}
	d := e.send(comm.ToGroup("g").Where(func(*comm.Conn) bool { return true }), "where", 1)
	if d.Remote {
		e.Error("Where crosses nodes")
	}
	ann1.gets("where")
	if d, err := second.Send(e.Context(), comm.ToGroup("g"), e.message("n", "back")); err != nil || d.Matched != 1 || !d.Remote {
		e.Errorf("from the second node: %+v, %v", d, err)
	}
	ann1.gets("back")
	ann2.gets("back")
	for _, p := range []*peer{ann1, ann2, bob, eve} {
		p.nothing()
	}
}

func nodeLogsRow(e *env) {
	_, connect := e.twoNodes(comm.WithOpenAccess())
	p := e.connect(inGroups("g"))
	p.joined("g")
	p.gets(e.numbers(comm.ToGroup("g"), 1, 3, 1)...)
	hellos := []hello{at(p.pos), inGroups("g")}
	p.hangUp()
	q := connect(hellos...)
	if at := q.joined("g"); at.Epoch == epoch(p.pos, "group:g") {
		e.Fatalf("both nodes have epoch %q", at.Epoch)
	}
	q.gapped("group:g", 4, 0)
	q.gets(1, 2, 3)
	q.nothing()
}
