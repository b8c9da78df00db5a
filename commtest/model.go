package commtest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anasamu/comm"
)

// Model is what RunModel needs: carriers to come back over, and how hard to try.
type Model struct {
	// Carriers are the protocols. A provider that stands in several is registered once.
	Carriers []ModelCarrier
	// Memory runs without sockets.
	Memory bool
	// TLS serves everything with it, for carriers that have no cleartext.
	TLS bool
	// Options go to comm.New behind the model's own.
	Options []comm.Option
	// Cuts is how many connections are cut at least; 0 is enough for 110 of every ordered pair of
	// carriers, at least 1,000, and a tenth of that with -short.
	Cuts int
	// Seed makes the random choices; 0 chooses one. A failure prints it.
	Seed uint64
}

// ModelCarrier is one protocol of a model.
type ModelCarrier struct {
	Provider comm.Provider
	// Dialer makes one client's carrier for one connection. Once a connection or packet socket of the
	// endpoint has been cut, all of its others are too, and new ones are refused: the carrier must then fail.
	Dialer func(e Endpoint) comm.Dialer
}

const (
	modelClients    = 9
	modelGroups     = 4
	modelPublishers = 3
	modelRing       = 200  // messages that a log keeps
	modelBytes      = 9000 // a connection is cut after at most so many
	modelLong       = 0.1  // of the clients that are cut stay away until the logs have forgotten
)

// RunModel cuts connections at random bytes while several publishers send to groups with a bounded
// history, and lets every client return over the carrier whose turn it is. In the end, what each
// client received must be the publish log exactly, except for ranges that gaps announced; and a gap
// must name precisely what the log had forgotten, and must follow only where a client stayed away
// for longer than the log reaches. No message of a client is handled twice, and every one that was
// acknowledged was handled.
func RunModel(t *testing.T, s Model) {
	if s.Seed == 0 {
		s.Seed = rand.Uint64()
	}
	if s.Cuts == 0 {
		s.Cuts = max(1000, 110*len(s.Carriers)*len(s.Carriers)+modelClients)
		if testing.Short() {
			s.Cuts /= 10
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the seed was %d", s.Seed)
		}
	})
	w := newWorld(t, s)
	w.run()
	w.judge()
}

// world is a model under way.
type world struct {
	*testing.T
	model     Model
	m         *comm.Manager
	endpoints []Endpoint // by carrier
	clients   []*modelClient
	handled   sync.Map // id of a client's message -> *atomic.Int32

	sending sync.RWMutex // read-locked during a send and its entry in the log

	mu     sync.Mutex // guards the fields below
	rng    *rand.Rand
	cuts   int
	long   int
	gaps   int
	done   bool    // no more cuts
	pairs  [][]int // connections by the carrier before and the carrier then
	log    [modelGroups]map[uint64]string
	sent   [modelGroups]uint64
	moved  *sync.Cond // on mu: a client has read, or something was sent
	failed error
}

func groupName(g int) string { return "g" + strconv.Itoa(g) }

func newWorld(t *testing.T, s Model) *world {
	w := &world{T: t, model: s, rng: rand.New(rand.NewPCG(s.Seed, 0))}
	w.moved = sync.NewCond(&w.mu)
	for g := range w.log {
		w.log[g] = make(map[uint64]string)
	}
	w.pairs = make([][]int, len(s.Carriers))
	for i := range w.pairs {
		w.pairs[i] = make([]int, len(s.Carriers))
	}
	w.start()
	for i := range modelClients {
		w.clients = append(w.clients, newModelClient(w, i))
	}
	return w
}

// start makes the manager with every provider.
func (w *world) start() {
	opts := []comm.Option{
		comm.WithAddr("127.0.0.1:0"), comm.WithOpenAccess(), comm.WithLogger(slog.New(slog.DiscardHandler)),
		comm.WithHistory(&comm.MemoryStore{Messages: modelRing, Bytes: 64 << 20}),
		comm.WithQueue(32, 1<<20), comm.WithOverflow(comm.DropOldest),
		comm.WithMaxConnectionsPerAddr(10_000), comm.WithHandshakeRate(1_000_000, 1_000_000), comm.WithMessageRate(1_000_000, 1_000_000),
	}
	if w.model.Memory {
		opts = append(opts, comm.WithInMemory())
	}
	server, client := mode{memory: w.model.Memory, tls: w.model.TLS}.configs(w)
	if server != nil {
		opts = append(opts, comm.WithTLS(server))
	}
	var providers []comm.Provider
	for _, c := range w.model.Carriers {
		if !slices.Contains(providers, c.Provider) {
			providers = append(providers, c.Provider)
		}
	}
	opts = append(append(opts, comm.WithProvider(providers...)), w.model.Options...)
	m, err := comm.New(opts...)
	if err != nil {
		w.Fatal(err)
	}
	w.m = m
	comm.On(m, "up", func(_ context.Context, _ *comm.Conn, id string) error {
		n, _ := w.handled.LoadOrStore(id, new(atomic.Int32))
		n.(*atomic.Int32).Add(1)
		return nil
	})
	w.Cleanup(func() { m.Close() })
	if err := m.Start(w.Context()); err != nil {
		w.Fatal(err)
	}
	for _, c := range w.model.Carriers {
		addrs, err := m.Addrs(c.Provider.Name())
		if err != nil || len(addrs) == 0 {
			w.Fatalf("provider %q has no address: %v", c.Provider.Name(), err)
		}
		dial := new(net.Dialer).DialContext
		if w.model.Memory {
			dial = m.DialContext
		}
		packets := func(ctx context.Context) (net.PacketConn, error) { return m.ListenPacket(ctx, "udp", "127.0.0.1:0") }
		w.endpoints = append(w.endpoints, Endpoint{Addr: addrs[0], DialContext: dial, ListenPacket: packets, TLS: client})
	}
}

// run publishes and cuts until there were enough cuts, then lets every client catch up.
func (w *world) run() {
	ctx, stop := context.WithCancel(w.Context())
	defer stop()
	var running, publishing sync.WaitGroup
	for _, c := range w.clients {
		running.Go(func() { c.live(ctx) })
	}
	for p := range modelPublishers {
		publishing.Go(func() { w.publish(p, rand.New(rand.NewPCG(w.model.Seed, uint64(p)+1))) })
	}
	watchdog := time.AfterFunc(2*time.Minute, func() { w.fail(fmt.Errorf("the model stands still")) })
	defer watchdog.Stop()
	publishing.Wait()
	w.mu.Lock()
	for w.failed == nil && !w.caughtUp() {
		w.moved.Wait()
	}
	w.mu.Unlock()
	stop()
	running.Wait()
}

// publish sends to random groups until there were enough cuts. A group waits for clients that must
// not lose anything of it.
func (w *world) publish(p int, rng *rand.Rand) {
	for i := 0; ; i++ {
		g := rng.IntN(modelGroups)
		if !w.mayPublish(g) {
			return
		}
		w.send(g, fmt.Sprintf("%d.%d", p, i))
	}
}

// mayPublish waits until no client that is to lose nothing would. It is false at the end.
func (w *world) mayPublish(g int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.done && w.failed == nil {
		slowest := w.sent[g]
		for _, c := range w.clients {
			if !c.away {
				slowest = min(slowest, c.next[g]-1)
			}
		}
		if w.sent[g]-slowest < modelRing/2 {
			return true
		}
		w.moved.Wait()
	}
	return false
}

func (w *world) send(g int, content string) {
	msg, err := comm.NewMessage(groupName(g), content)
	if err != nil {
		w.fail(err)
		return
	}
	w.sending.RLock()
	defer w.sending.RUnlock()
	d, err := w.m.Send(context.Background(), comm.ToGroup(groupName(g)), msg)
	if err != nil || d.Matched != d.Queued+d.Dropped+d.Closed || d.Dropped != 0 {
		w.fail(fmt.Errorf("send: %+v, %w", d, err))
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log[g][d.Position.Offset] = content
	w.sent[g] = max(w.sent[g], d.Position.Offset)
	w.moved.Broadcast()
}

func (w *world) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		w.failed = err
	}
	w.done = true
	w.moved.Broadcast()
}

func (w *world) caughtUp() bool {
	for _, c := range w.clients {
		for g := range modelGroups {
			if c.next[g] <= w.sent[g] {
				return false
			}
		}
	}
	return true
}

// cut counts a cut of c's and decides whether it stays away for long.
func (w *world) cut(c *modelClient) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cuts++
	if w.cuts >= w.model.Cuts {
		w.done = true
	} else if !c.away && c.reads() && w.long*12 < w.cuts && w.rng.Float64() < modelLong {
		w.long++
		c.away = true
	}
	w.moved.Broadcast()
}

// judge compares what every client received with the log.
func (w *world) judge() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed != nil {
		for _, c := range w.clients {
			w.Logf("client %d: away %v, state %v, next %v of %v", c.n, c.away, c.client.State(), c.next, w.sent)
		}
		w.Fatal(w.failed)
	}
	for _, c := range w.clients {
		for g, events := range c.events {
			if err := w.compare(g, events); err != nil {
				w.Errorf("client %d, group %d: %v", c.n, g, err)
			}
		}
		for _, id := range c.acked {
			if _, ok := w.handled.Load(id); !ok {
				w.Errorf("client %d: message %s was acknowledged, and not handled", c.n, id)
			}
		}
	}
	w.handled.Range(func(id, n any) bool {
		if times := n.(*atomic.Int32).Load(); times > 1 {
			w.Errorf("message %v was handled %d times", id, times)
		}
		return true
	})
	w.countPairs()
	if w.gaps == 0 && w.long > modelClients {
		w.Error("nobody was told of a gap")
	}
	w.Logf("%d cuts, of which %d for long; %d gaps; %d messages; connections by carrier before and then: %v", w.cuts, w.long, w.gaps, w.sent, w.pairs)
}

// compare walks one client's events of one group along the log.
func (w *world) compare(g int, events []modelEvent) error {
	next := uint64(1)
	for i, e := range events {
		switch {
		case e.gap != nil && (e.gap.From != next || e.gap.To < next):
			return fmt.Errorf("event %d: the gap %d to %d, where %d is next", i, e.gap.From, e.gap.To, next)
		case e.gap != nil:
			next = e.gap.To + 1
		case w.log[g][next] != e.content:
			return fmt.Errorf("event %d: %q, where offset %d is %q", i, e.content, next, w.log[g][next])
		default:
			next++
		}
	}
	if next != w.sent[g]+1 {
		return fmt.Errorf("ends before offset %d of %d", next, w.sent[g])
	}
	return nil
}

// countPairs holds the run itself to what it is for.
func (w *world) countPairs() {
	if w.long*10 > w.cuts {
		w.Errorf("%d of %d cuts were outside of retention, allowed is a tenth", w.long, w.cuts)
	}
	if testing.Short() || w.model.Cuts < 110*len(w.pairs)*len(w.pairs) {
		return
	}
	for i, row := range w.pairs {
		for j, n := range row {
			if n < 100 {
				w.Errorf("carrier %d after %d: %d times, want 100", j, i, n)
			}
		}
	}
}
