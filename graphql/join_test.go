package graphql_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/anasamu/comm"
)

// Groups: order, positions, several operations, a resume without a seam.
func TestJoin(t *testing.T) {
	t.Parallel()
	g := startHub(t, openAccess)
	c := initWS(t, g.url, nil)
	subscribe(c, "a", `subscription { group(name: "lobby") }`)
	c.hears(next("a", "group", "joined@0"))
	for i := range 3 {
		g.post(comm.ToGroup("lobby"), fmt.Sprint(i+1))
	}
	c.hears(next("a", "group", "message@1 1"), next("a", "group", "message@2 2"), next("a", "group", "message@3 3"))
	conn := slices.Collect(g.Connections(comm.ToGroup("lobby")))[0]
	epoch := g.post(comm.ToGroup("lobby"), "4").Position.Epoch
	c.hears(next("a", "group", "message@4 4"))

	// A second operation of the connection begins at its own place; the first one sees nothing twice.
	subscribe(c, "b", fmt.Sprintf(`subscription { group(name: "lobby", after: "group:lobby@%s:2") }`, epoch))
	c.hears(next("b", "group", "joined@2"), next("b", "group", "message@3 3"), next("b", "group", "message@4 4"))
	g.post(comm.ToGroup("lobby"), "5")
	both := []string{c.hear(), c.hear()}
	slices.Sort(both)
	if want := []string{next("a", "group", "message@5 5"), next("b", "group", "message@5 5")}; !slices.Equal(both, want) {
		t.Errorf("heard %q", both)
	}
	// A third comes from now on, and shares the membership.
	subscribe(c, "c", `subscription { group(name: "lobby") }`)
	c.hears(next("c", "group", "joined@5"))
	if n := len(conn.Groups()); n != 1 {
		t.Errorf("%d groups", n)
	}
	c.say(`{"id":"a","type":"complete"}`)
	c.say(`{"id":"c","type":"complete"}`)
	c.settle()
	g.post(comm.ToGroup("lobby"), "6")
	c.hears(next("b", "group", "message@6 6"))
	c.say(`{"id":"b","type":"complete"}`)
	eventually(t, "the group to be left", func() bool { return len(conn.Groups()) == 0 })

	// What is not allowed, and an epoch that is over.
	subscribe(c, "d", `subscription { group(name: "closed") }`)
	if got := c.hear(); !strings.HasPrefix(got, `{"id":"d","type":"error","payload":[{"message":"refused: forbidden"`) {
		t.Fatal(got)
	}
	subscribe(c, "e", `subscription { group(name: "lobby", after: "group:lobby@old:9") }`)
	c.hears(next("e", "group", "joined@0"), next("e", "group", "gap@0 from 10"), next("e", "group", "message@1 1"))
	c.say(`{"id":"e","type":"complete"}`)
}

// An operation that asks for what comes behind a position which the log has not reached is told nothing before that;
// it takes nothing from another one.
func TestJoinAhead(t *testing.T) {
	t.Parallel()
	g := startHub(t, openAccess)
	c := initWS(t, g.url, nil)
	subscribe(c, "a", `subscription { group(name: "lobby") }`)
	c.hears(next("a", "group", "joined@0"))
	epoch := g.post(comm.ToGroup("lobby"), "1").Position.Epoch
	c.hears(next("a", "group", "message@1 1"))
	subscribe(c, "b", fmt.Sprintf(`subscription { group(name: "lobby", after: "group:lobby@%s:3") }`, epoch))
	c.hears(next("b", "group", "joined@1"))
	var want, heard []string
	for i := 2; i <= 4; i++ {
		text := fmt.Sprint(i)
		g.post(comm.ToGroup("lobby"), text)
		want = append(want, next("a", "group", "message@"+text+" "+text))
	}
	want = append(want, next("b", "group", "message@4 4"))
	for range want {
		heard = append(heard, c.hear())
	}
	if slices.Sort(heard); !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
}

// A message to several groups reaches the operations of each, though the connection is given one copy.
func TestJoinSeveralGroups(t *testing.T) {
	t.Parallel()
	g := startHub(t, openAccess)
	c := initWS(t, g.url, nil)
	for _, name := range []string{"a", "b"} {
		subscribe(c, name, `subscription { group(name: "`+name+`") }`)
		c.hears(next(name, "group", "joined@0"))
	}
	pair := func(text string) {
		t.Helper()
		got := []string{c.hear(), c.hear()}
		slices.Sort(got)
		if want := []string{next("a", "group", text), next("b", "group", text)}; !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	g.post(comm.ToGroups("b", "a"), "1")
	pair("message@1 1")
	// What another operation has replayed is not new to them.
	subscribe(c, "again", `subscription { group(name: "a", after: "group:a@0:0") }`)
	c.hears(next("again", "group", "joined@0"), next("again", "group", "message@1 1"))
	c.say(`{"id":"again","type":"complete"}`)
	c.settle()
	g.post(comm.ToGroups("b", "a"), "2")
	pair("message@2 2")
}

// A group without history: what comes is taken, and a membership that the server ends ends the operation.
func TestJoinWithoutHistory(t *testing.T) {
	t.Parallel()
	g := startHub(t, openAccess, comm.WithLogs(false, false, false), comm.WithOnConnect(func(_ context.Context, _ *comm.Handshake, a *comm.Admission) error {
		a.Groups = append(a.Groups, "given")
		return nil
	}))
	c := initWS(t, g.url, nil)
	subscribe(c, "a", `subscription { group(name: "plain") }`)
	c.hears(next("a", "group", "joined@0"))
	g.post(comm.ToGroups("other", "plain"), "x")
	g.post(comm.ToAll(), "not for the group")
	g.post(comm.ToGroup("plain"), "y")
	c.hears(next("a", "group", "message@0 x"), next("a", "group", "message@0 y"))
	subscribe(c, "g", `subscription { group(name: "given") }`)
	c.hears(next("g", "group", "joined@0"))
	c.say(`{"id":"g","type":"complete"}`)
	conn := slices.Collect(g.Connections(comm.ToGroup("plain")))[0]
	if err := conn.Leave("plain"); err != nil {
		t.Fatal(err)
	}
	c.hears(next("a", "group", "left@0"), `{"id":"a","type":"complete"}`)
	if got := c.one(`{ ask(group: "given") }`); got != "ack" {
		t.Error(got)
	}
	if groups := conn.Groups(); !slices.Equal(groups, []string{"given"}) {
		t.Errorf("after the operation the connection is in %q", groups)
	}
}
