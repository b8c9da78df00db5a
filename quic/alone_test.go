package commquic_test

import (
	"testing"

	"github.com/anasamu/comm"
	commquic "github.com/anasamu/comm/quic"
)

// What is sent to a connection alone does not spend a fifth of a small message on telling the client who it is. The
// client's code is told all the same, and what was addressed otherwise says so.
func TestToTheReceiverAlone(t *testing.T) {
	t.Parallel()
	m := gateway(t, commquic.New())
	p := dial(t, addrOf(t, m), []string{"g"})
	own := "conn:" + p.welcome.Conn
	for _, row := range []struct {
		name string
		to   comm.Target
		opts []comm.SendOption
		want string
	}{
		{"alone", comm.ToConn(p.welcome.Conn), nil, own},
		{"with another", comm.ToConns(p.welcome.Conn, "another"), nil, own + ",conn:another"},
		{"a group", comm.ToGroup("g"), nil, "group:g"},
		{"on a lane", comm.ToConn(p.welcome.Conn), []comm.SendOption{comm.WithLane("a")}, own},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, err := m.Send(t.Context(), row.to, message(t, "n", "content"), row.opts...); err != nil {
				t.Fatal(err)
			}
			f := p.next()
			if got := f.Message.To(); got != row.want {
				t.Errorf("sent to %q, want %q", got, row.want)
			}
		})
	}
	commquic.ForgetSelf(p.Carrier)
	if _, err := m.Send(t.Context(), comm.ToConn(p.welcome.Conn), message(t, "n", nil)); err != nil {
		t.Fatal(err)
	}
	if got := p.next().Message.To(); got != "" {
		t.Errorf("the wire says %q", got)
	}
}
