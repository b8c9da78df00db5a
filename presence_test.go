package comm_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
)

// lobby is a gateway whose presence changes are written down.
func lobby(t *testing.T, grace time.Duration, opts ...comm.Option) (m *comm.Manager, f *fake, changes func() []string) {
	var seen []string
	m, f = gateway(t, append(opts, tokenIsUser(), comm.WithPresenceGrace(grace), comm.WithOnPresence(func(ch comm.PresenceChange) {
		sign := map[bool]string{true: "+", false: "-"}[ch.Present]
		seen = append(seen, fmt.Sprintf("%s%s@%s %v", sign, ch.User, ch.Group, time.Since(t0)))
	}))...)
	return m, f, func() []string { synctest.Wait(); return seen }
}

// t0 is when every bubble begins.
var t0 = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// enter lets a user come, into groups of the server's choice.
func enter(t *testing.T, f *fake, user string, groups ...string) *comm.Conn {
	t.Helper()
	c, _ := f.attach(t, as(user))
	for _, g := range groups {
		if err := c.Join(g); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// who is a group's users with their connections, and since when they are there.
func who(m *comm.Manager, group string) []string {
	list := []string{}
	for _, p := range m.Presence(group) {
		list = append(list, fmt.Sprintf("%s %d %v", p.User, p.Conns, p.Since.Sub(t0)))
	}
	return list
}

// A user is present from the first connection to the last, and for the grace after a lost one; whoever
// comes back within it never left, in none of the groups, whether the session is resumed or not.
func TestPresenceDoesNotFlap(t *testing.T) {
	for name, resume := range map[string]bool{"resumed": true, "anew": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m, f, changes := lobby(t, 10*time.Second)
				c := enter(t, f, "ann", "a", "b")
				for range 5 {
					session := c.Session()
					time.Sleep(time.Second)
					hangUp(f, c)
					same(t, "away", who(m, "a"), []string{"ann 0 0s"})
					time.Sleep(9999 * time.Millisecond)
					hs := as("ann")
					if resume {
						hs.Hello = &comm.Hello{Session: session}
					}
					if c, _ = f.attach(t, hs); c.Resumed() != resume {
						t.Fatalf("resumed %v", c.Resumed())
					}
					for _, g := range []string{"a", "b"} {
						if err := c.Join(g); err != nil {
							t.Fatal(err)
						}
					}
					same(t, "back", who(m, "a"), []string{"ann 1 0s"})
				}
				same(t, "changes", changes(), []string{"+ann@a 0s", "+ann@b 0s"})
				hangUp(f, c)
				gone := time.Since(t0) + 10*time.Second
				time.Sleep(time.Hour)
				got := changes()[2:]
				slices.Sort(got)
				same(t, "in the end", got, []string{fmt.Sprint("-ann@a ", gone), fmt.Sprint("-ann@b ", gone)})
				same(t, "nobody", []int{len(who(m, "a")), len(who(m, "b"))}, []int{0, 0})
			})
		})
	}
}

// The grace belongs to a group: who comes back into one of two has left the other.
func TestPresenceGraceIsPerGroup(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f, changes := lobby(t, 10*time.Second)
		hangUp(f, enter(t, f, "ann", "a", "b"))
		time.Sleep(5 * time.Second)
		enter(t, f, "ann", "a")
		time.Sleep(time.Minute)
		same(t, "changes", changes(), []string{"+ann@a 0s", "+ann@b 0s", "-ann@b 10s"})
		same(t, "there", who(m, "a"), []string{"ann 1 0s"})
	})
}

// Only a lost connection has the grace: leaving is leaving, and the last of several counts. Anonymous
// clients are one, without a grace: nobody can tell who came back.
func TestPresenceOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f, changes := lobby(t, 10*time.Second)
		ann1, ann2 := enter(t, f, "ann", "g"), enter(t, f, "ann", "g")
		time.Sleep(time.Second)
		ben, anon1, anon2 := enter(t, f, "ben", "g"), enter(t, f, "", "g"), enter(t, f, "", "g")
		same(t, "there", who(m, "g"), []string{" 2 1s", "ann 2 0s", "ben 1 1s"})
		same(t, "another group", m.Presence("other"), []comm.Presence{})
		time.Sleep(time.Second)
		hangUp(f, ann1)
		hangUp(f, anon1)
		same(t, "each one less", who(m, "g"), []string{" 1 1s", "ann 1 0s", "ben 1 1s"})
		for _, c := range []*comm.Conn{ann2, ben} {
			if err := c.Leave("g"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		hangUp(f, anon2)
		if err := ben.Join("g"); err != nil {
			t.Fatal(err)
		}
		same(t, "changes", changes(), []string{"+ann@g 0s", "+ben@g 1s", "+@g 1s", "-ann@g 2s", "-ben@g 3s", "-@g 4s", "+ben@g 4s"})
		same(t, "there", who(m, "g"), []string{"ben 1 4s"})
	})
}

// The hook is called for one change at a time and under no lock: it may join, ask and send itself, and
// what it causes is told after what came before.
func TestPresenceHookMayAct(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var m *comm.Manager
		var f *fake
		var seen []string
		running := false
		m, f = gateway(t, tokenIsUser(), comm.WithPresenceGrace(0), comm.WithOnPresence(func(ch comm.PresenceChange) {
			if running {
				t.Error("two at once")
			}
			running = true
			defer func() { running = false }()
			seen = append(seen, fmt.Sprint(ch.User, "@", ch.Group, " ", ch.Present, " ", len(m.Presence(ch.Group))))
			if ch.Group != "first" {
				return
			}
			for c := range m.Connections(comm.ToUser(ch.User)) {
				if err := c.Join("second"); err != nil {
					t.Error(err)
				}
			}
			send(t, m, comm.ToAll(), message(t, "presence", ch.User))
		}))
		c, p := f.attach(t, as("ann"))
		if err := c.Join("first"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		same(t, "changes", seen, []string{"ann@first true 1", "ann@second true 1"})
		same(t, "told", p.types(), []string{"presence"})
		hangUp(f, c)
		synctest.Wait()
		got := seen[2:]
		slices.Sort(got)
		same(t, "and at the end", got, []string{"ann@first false 0", "ann@second false 0"})
	})
}

// A client learns who is there if the authorizer says so for that group, and is refused otherwise.
func TestPresenceIsAuthorized(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var asked []string
		_, f, _ := lobby(t, 10*time.Second, comm.WithAuthorizer(func(_ context.Context, c *comm.Conn, a comm.Access) error {
			asked = append(asked, fmt.Sprint(c.User(), " ", a.Action, " ", a.Group, " ", a.Target))
			if a.Group == "open" && a.Action == comm.ActionPresence {
				return nil
			}
			return comm.ErrForbidden
		}))
		enter(t, f, "ann", "open", "closed")
		hangUp(f, enter(t, f, "ben", "open"))
		c, p := f.attach(t, as("cal")) // is in neither
		for i, group := range []string{"open", "closed", "", "empty\x00"} {
			if err := f.host().Receive(c, &comm.Frame{Op: comm.OpPresence, ID: fmt.Sprint(i), Group: group}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		var got []string
		for _, fr := range p.got(comm.OpReply, comm.OpError) {
			line := fr.ID + " " + string(fr.Code)
			if fr.Op == comm.OpReply {
				list, err := comm.Decode[[]comm.Presence](fr.Message)
				if err != nil {
					t.Fatal(err)
				}
				for _, who := range list {
					line += fmt.Sprintf("%s %d ", who.User, who.Conns)
				}
			}
			got = append(got, line)
		}
		same(t, "answers", got, []string{"0 ann 1 ben 0 ", "1 forbidden", "2 bad_message", "3 bad_message"})
		same(t, "asked", asked, []string{"cal presence open group:open", "cal presence closed group:closed"})
	})
}

// Close stops the clocks of those who are away and tells nobody of them; who is still there leaves then,
// and no clock starts.
func TestPresenceEndsWithTheManager(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, f, changes := lobby(t, time.Hour)
		hangUp(f, enter(t, f, "ann", "g"))
		enter(t, f, "ben", "g")
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		same(t, "changes", changes(), []string{"+ann@g 0s", "+ben@g 0s", "-ben@g 0s"})
	})
}
