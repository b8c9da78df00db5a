package comm

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// remoteJSON is a RemoteMessage between nodes.
type remoteJSON struct {
	Node     string            `json:"node"`
	To       []string          `json:"to"` // addresses of one kind
	Only     *remoteFilterJSON `json:"only,omitempty"`
	Message  json.RawMessage   `json:"message"` // as PROTOCOL.md has it
	Priority string            `json:"priority,omitempty"`
	Key      string            `json:"key,omitempty"`
	Unlogged bool              `json:"unlogged,omitempty"`
}

// remoteFilterJSON is what narrows a target.
type remoteFilterJSON struct {
	Providers      []string          `json:"providers,omitempty"`
	Labels         map[string]string `json:"labels,omitempty"`
	Except         []string          `json:"except,omitempty"`
	ExceptUsers    []string          `json:"except_users,omitempty"`
	ExceptSessions []string          `json:"except_sessions,omitempty"`
}

var priorityNames = map[Priority]string{PriorityNormal: "", PriorityHigh: "high", PriorityLow: "low"}

// MarshalJSON is what an engine between processes carries: one JSON object on one line, that UnmarshalJSON of this
// version and of later ones reads. It fails for a target that names nobody, or that Where narrows, which never leaves
// its node.
func (r RemoteMessage) MarshalJSON() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	message, err := JSON().AppendFrame(nil, &Frame{Op: OpMessage, ID: r.Message.id, Message: r.Message})
	if err != nil {
		return nil, err
	}
	return json.Marshal(remoteJSON{
		Node: r.Node, To: r.Target.addresses(), Only: r.Target.only.remote(), Message: message,
		Priority: priorityNames[r.Priority], Key: r.Key, Unlogged: r.Unlogged,
	})
}

// check refuses what cannot cross to another node.
func (r RemoteMessage) check() error {
	if r.Message == nil {
		return errors.New("comm: remote message: there is no message")
	}
	if r.Target.where != nil {
		return fmt.Errorf("%w: Where is of one node alone", ErrTarget)
	}
	if _, ok := priorityNames[r.Priority]; !ok {
		return fmt.Errorf("comm: remote message: priority %d: allowed are PriorityNormal, PriorityHigh and PriorityLow", r.Priority)
	}
	return r.Target.check()
}

// UnmarshalJSON reads what MarshalJSON has written, on this node or on another. What is no such message is an error,
// and leaves r as it was.
func (r *RemoteMessage) UnmarshalJSON(data []byte) error {
	var v remoteJSON
	if err := json.Unmarshal(data, &v); err != nil {
		return fmt.Errorf("comm: remote message: %w", err)
	}
	out := RemoteMessage{Node: v.Node, Key: v.Key, Unlogged: v.Unlogged}
	f, err := JSON().ParseFrame(v.Message)
	if err != nil {
		return fmt.Errorf("comm: remote message: %w", err)
	}
	if f.Op != OpMessage || f.Message == nil {
		return fmt.Errorf("comm: remote message: a frame %q: allowed is a message", f.Op)
	}
	out.Message = f.Message
	if out.Target, err = parseAddresses(v.To); err != nil {
		return err
	}
	out.Target.only = v.Only.filter()
	if out.Priority, err = parsePriority(v.Priority); err != nil {
		return err
	}
	if err := out.check(); err != nil {
		return err
	}
	*r = out
	return nil
}

func parsePriority(name string) (Priority, error) {
	for p, n := range priorityNames {
		if n == name {
			return p, nil
		}
	}
	return 0, fmt.Errorf("comm: remote message: priority %q: allowed are high, low and none", shorten(name))
}

// addresses are those of the target's names, as ParseTarget reads them.
func (t Target) addresses() []string {
	if t.kind == targetAll {
		return []string{"all"}
	}
	var list []string
	for name := range t.names {
		list = append(list, kindPrefix[t.kind]+name)
	}
	return list
}

// parseAddresses is the target of addresses, all of one kind.
func parseAddresses(list []string) (Target, error) {
	if len(list) == 0 {
		return Target{}, fmt.Errorf("%w: a remote message to nobody", ErrTarget)
	}
	first, err := ParseTarget(list[0])
	if err != nil || len(list) == 1 {
		return first, err
	}
	names := make([]string, len(list))
	for i, address := range list {
		t, err := ParseTarget(address)
		if err != nil {
			return Target{}, err
		}
		if t.kind != first.kind || t.kind == targetAll {
			return Target{}, fmt.Errorf("%w: %q beside %q: allowed are addresses of one kind", ErrTarget, shorten(address), shorten(list[0]))
		}
		names[i] = t.name()
	}
	return plural(first.kind, names), nil
}

// remote is the filter between nodes; nil for none.
func (f *filter) remote() *remoteFilterJSON {
	if f == nil {
		return nil
	}
	return &remoteFilterJSON{
		Providers: f.providers, Labels: f.labels, Except: f.conns, ExceptUsers: f.users, ExceptSessions: f.sessions,
	}
}

// filter is the one that another node meant.
func (v *remoteFilterJSON) filter() *filter {
	if v == nil {
		return nil
	}
	return &filter{
		providers: slices.Clip(v.Providers), conns: slices.Clip(v.Except), users: slices.Clip(v.ExceptUsers),
		sessions: slices.Clip(v.ExceptSessions), labels: v.Labels,
	}
}
