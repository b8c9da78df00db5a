package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

// TestMain runs the program itself where a test has started this binary as the gateway.
func TestMain(m *testing.M) {
	if os.Getenv("COMM_GATEWAY") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is the gateway as a process of its own.
type process struct {
	cmd  *exec.Cmd
	host string
	out  chan string // its whole output, when it has ended
}

var servedAt = regexp.MustCompile(`The gateway is at http://(\S+)/`)

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, args...)
	cmd.Env = append(os.Environ(), "COMM_GATEWAY=1")
	return cmd
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: command(t, args...), out: make(chan string, 1)}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() {
		var all strings.Builder
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			fmt.Fprintln(&all, lines.Text())
			if m := servedAt.FindStringSubmatch(lines.Text()); m != nil {
				ready <- m[1]
			}
		}
		p.out <- all.String()
	}()
	select {
	case p.host = <-ready:
	case <-time.After(time.Minute):
		t.Fatal("the gateway is not ready")
	}
	return p
}

// stop sends SIGTERM and returns what the gateway printed.
func (p *process) stop(t *testing.T) string {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	out := <-p.out
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("the gateway ended with %v:\n%s", err, out)
	}
	return out
}

// Requests that cross SIGTERM behind kept-alive and h2c connections are all answered. On HTTP/1.1 they
// are POSTs that no transport repeats by itself. On HTTP/2 those that the server has not taken, as
// its GOAWAY says (RFC 9113 6.8), are repeated by the transport, and then find the door shut.
func TestTermLosesNoRequest(t *testing.T) {
	p := start(t, "-addr", "127.0.0.1:0")
	h1 := &http.Transport{MaxIdleConnsPerHost: 16}
	h2 := &http.Transport{Protocols: new(http.Protocols)}
	h2.Protocols.SetUnencryptedHTTP2(true)
	var answered, crossed atomic.Int64
	var stopping atomic.Bool
	var workers sync.WaitGroup
	for i := range 16 {
		tr := h1
		if i%2 == 1 {
			tr = h2
		}
		workers.Go(func() {
			for {
				late := stopping.Load()
				err := post(tr, p.host)
				if errors.Is(err, syscall.ECONNREFUSED) {
					return // the door is shut: nothing was sent
				}
				if err != nil {
					t.Errorf("a request was lost: %v", err)
					return
				}
				answered.Add(1)
				if late {
					crossed.Add(1)
				}
			}
		})
	}
	for answered.Load() < 1000 {
		time.Sleep(time.Millisecond)
	}
	stopping.Store(true)
	out := p.stop(t)
	workers.Wait()
	if !strings.Contains(out, "Drained:") {
		t.Errorf("it does not say what it drained:\n%s", out)
	}
	t.Logf("%d requests answered, %d of them after the signal", answered.Load(), crossed.Load())
}

func post(tr *http.Transport, host string) error {
	var body io.Reader = strings.NewReader(`{"to":"group:nobody","type":"x"}`)
	if tr.Protocols == nil {
		body = io.MultiReader(body) // of unknown length: it cannot be repeated
	}
	r, err := http.NewRequest(http.MethodPost, "http://"+host+"/api/send", body)
	if err != nil {
		return err
	}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	return err
}

// Off loopback nobody gets in without the token that is printed; the file is config.json but
// for its ports.
func TestConfigNeedsToken(t *testing.T) {
	doc, err := os.ReadFile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.json")
	ports := strings.NewReplacer(`"port":8080`, `"port":`+freePort(t), `"port":9090`, `"port":`+freePort(t))
	if err := os.WriteFile(file, []byte(ports.Replace(string(doc))), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "-config", file)
	status := func(path, token string) int {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.host+path, nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, path := range []string{"/api/stats", "/poll", "/events", "/api/connections"} {
		if got := status(path, ""); got != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d", path, got)
		}
	}
	if got := status("/", ""); got != http.StatusOK {
		t.Errorf("the page: %d", got)
	}
	http.DefaultClient.CloseIdleConnections()
	out := p.stop(t)
	_, token, _ := strings.Cut(out, "#token=")
	if token = strings.Fields(token + " ")[0]; len(token) < 20 {
		t.Fatalf("no token in:\n%s", out)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// One trace goes from a WebSocket message through its handler to an event stream, and on to polling.
func TestTraceCrossesProtocols(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	m, err := comm.New(comm.WithAddr("127.0.0.1:0"), comm.WithOpenAccess(), comm.WithProvider(commhttp.New(), ws.New(), sse.New()))
	if err != nil {
		t.Fatal(err)
	}
	inHandler := make(chan string, 1)
	comm.On(m, "question", func(ctx context.Context, _ *comm.Conn, msg *comm.Message) error {
		inHandler <- comm.Traceparent(ctx)
		answer, err := comm.NewMessage("answer", json.RawMessage(msg.Content()))
		if err != nil {
			return err
		}
		_, err = m.Send(ctx, comm.ToGroup("watchers"), answer)
		return err
	})
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	addrs, _ := m.Addrs("http")
	base := addrs[0]
	watchers := map[string]comm.Dialer{"sse": sse.Dialer("http://" + base + "/events"), "http": commhttp.Dialer("http://" + base + "/poll")}
	answers := make(chan string, len(watchers))
	for _, d := range watchers {
		c := client(t, d)
		c.On("answer", func(ctx context.Context, m *comm.Message) error { answers <- m.Header("traceparent"); return nil })
		if err := c.Join(t.Context(), "watchers"); err != nil {
			t.Fatal(err)
		}
	}
	asker := client(t, ws.Dialer("ws://"+base+"/ws"))
	question, err := comm.NewMessage("question", 42, comm.WithHeader("traceparent", parent))
	if err != nil {
		t.Fatal(err)
	}
	if err := asker.SendAck(t.Context(), question); err != nil {
		t.Fatal(err)
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, got := range []string{<-inHandler, <-answers, <-answers} {
		if !strings.Contains(got, trace) || got == parent {
			t.Errorf("traceparent %q: want trace %s under a span of its own", got, trace)
		}
	}
}

// A GraphQL client and a WebSocket client are in one group of the gateway as it is built.
func TestGraphQLMeetsWebSocket(t *testing.T) {
	gw, _, err := open(flags{addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := gw.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer gw.Close()
	addrs, err := gw.Addrs("graphql")
	if err != nil || len(addrs) != 1 {
		t.Fatal(addrs, err)
	}
	base := addrs[0]
	heard := make(chan *comm.Message, 1)
	c := client(t, ws.Dialer("ws://"+base+"/ws"))
	c.On("chat", func(_ context.Context, m *comm.Message) error { heard <- m; return nil })
	if err := c.Join(t.Context(), "lobby"); err != nil {
		t.Fatal(err)
	}

	events, _, err := ws.Dial(t.Context(), "ws://"+base+"/graphql", ws.WithSubprotocols("graphql-transport-ws"))
	if err != nil {
		t.Fatal(err)
	}
	defer events.CloseNow()
	say := func(s string) {
		t.Helper()
		if err := events.Write(t.Context(), ws.Text, []byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(want string) {
		t.Helper()
		_, b, err := events.Read(t.Context(), nil)
		if err != nil || !strings.Contains(string(b), want) {
			t.Fatalf("heard %s, %v, want %s", b, err, want)
		}
	}
	say(`{"type":"connection_init"}`)
	hear("connection_ack")
	say(`{"id":"1","type":"subscribe","payload":{"query":"subscription { messages(group: \"lobby\") { __typename position ... on HubMessage { content } } }"}}`)
	hear("HubJoined")

	body := `{"query":"mutation { send(to: \"group:lobby\", type: \"chat\", content: \"hello\") { matched } }"}`
	resp, err := http.Post("http://"+base+"/graphql", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || string(answer) != `{"data":{"send":{"matched":2}}}` {
		t.Fatalf("%s, %v", answer, err)
	}
	if m := <-heard; string(m.Content()) != `"hello"` {
		t.Errorf("the WebSocket client heard %s", m.Content())
	}
	hear(`"content":"hello"`)

	back, err := comm.JSON().ParseFrame([]byte(`{"id":"b","type":"chat","to":"group:lobby","content":"back"}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SendAck(t.Context(), back.Message); err != nil {
		t.Fatal(err)
	}
	hear(`"content":"back"`)

	page, err := http.Get("http://" + base + "/graphql/playground/")
	if err != nil {
		t.Fatal(err)
	}
	defer page.Body.Close()
	if page.StatusCode != http.StatusOK || page.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("the playground: %s %v", page.Status, page.Header)
	}
	http.DefaultClient.CloseIdleConnections()
}

func client(t *testing.T, d comm.Dialer) *comm.Client {
	t.Helper()
	c, err := comm.NewClient([]comm.Dialer{d})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return c
}
