package graphql_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/anasamu/comm/graphql"
)

const partsBody = `{"query":"{ list { id ... @defer { wait } } }"}`

func partsHandler(t *testing.T, release <-chan struct{}) (*graphql.Handler, func() int32) {
	s, waits := waiting(t, release)
	h, err := graphql.NewHandler(s)
	if err != nil {
		t.Fatal(err)
	}
	return h, waits.Load
}

// TestPartsNegotiation: who gets parts, and who everything at once.
func TestPartsNegotiation(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	close(closed)
	h, _ := partsHandler(t, closed)
	const whole = `{"data":{"list":[{"id":1,"wait":1},{"id":2,"wait":2},{"id":3,"wait":3}]}}`
	for accept, media := range map[string]string{
		"":                              older,
		"application/json":              older,
		newer + ", multipart/mixed;q=0": newer,
		"multipart/mixed, " + older:     `multipart/mixed; boundary="-"`,
		newer + ", " + older + ", text/event-stream, multipart/mixed":                  `multipart/mixed; boundary="-"`, // urql
		"multipart/mixed;incrementalSpec=v0.2, " + newer + ", " + older + ";q=0.9":     `multipart/mixed; boundary="-"; incrementalSpec=v0.2`,
		"multipart/mixed; incrementalDeliverySpec=3283f8a, " + older:                   `multipart/mixed; boundary="-"; incrementalDeliverySpec=3283f8a`,
		"multipart/mixed;deferSpec=20220824, " + newer + ", " + older + ";q=0.9":       `multipart/mixed; boundary="-"; deferSpec=20220824`, // Apollo Client
		"multipart/mixed;deferSpec=20200101, " + newer + ", " + older + ";q=0.9":       newer,                                               // a format that is not served
		"multipart/mixed;boundary=graphql;subscriptionSpec=1.0," + newer + "," + older: newer,
		"multipart/mixed": `multipart/mixed; boundary="-"`,
	} {
		got := send(h, "POST", "/", partsBody, "Content-Type", older, "Accept", accept)
		if ct, _, _ := strings.Cut(got.header.Get("Content-Type"), "; charset"); got.status != 200 || ct != media {
			t.Errorf("%q: %d %s", accept, got.status, got.header.Get("Content-Type"))
		}
		if !strings.HasPrefix(media, "multipart") && got.body != whole {
			t.Errorf("%q: %s", accept, got.body)
		}
	}
	if got := send(h, "POST", "/", partsBody, "Content-Type", older, "Accept", "multipart/mixed;deferSpec=20200101"); got.status != 406 {
		t.Error(got)
	}
	// One response is none in parts, unless the client takes nothing else.
	one := `{"query":"{ one { id } }"}`
	if got := send(h, "POST", "/", one, "Content-Type", older, "Accept", "multipart/mixed, "+older); got.body != `{"data":{"one":{"id":7}}}` {
		t.Error(got)
	}
	const alone = "\r\n---\r\nContent-Type: application/json; charset=utf-8\r\n\r\n{\"data\":{\"one\":{\"id\":7}}}\r\n-----\r\n"
	if got := send(h, "POST", "/", one, "Content-Type", older, "Accept", "multipart/mixed"); got.body != alone {
		t.Errorf("%q", got.body)
	}
	off := handler(t)
	if got := send(off, "POST", "/", `{"query":"{ a }"}`, "Content-Type", older, "Accept", "multipart/mixed"); got.status != 406 {
		t.Error(got)
	}
	if got := send(h, "POST", "/", `{"query":"{ nothing }"}`, "Content-Type", older, "Accept", "multipart/mixed, "+newer); got.status != 400 || got.header.Get("Content-Type") != newer+"; charset=utf-8" {
		t.Error(got)
	}
}

// partsByPath are what graphql-js 17.1.0 answers to legacyExecuteIncrementally, on the schema of incrementalSchema,
// keys sorted and locations left out. Where an element of a list fails its index is in the path, as it was in the
// versions that clients of this format were made for.
var partsByPath = []incrementalCase{
	{`{ hero { id ... @defer(label: "A") { id name friends @stream(initialCount: 1, label: "S") { id } } } }`, ``, []string{
		`{"data":{"hero":{"id":"1"}},"hasNext":true}`,
		`{"hasNext":false,"incremental":[{"data":{"friends":[{"id":"2"}],"id":"1","name":"Luke"},"label":"A","path":["hero"]},{"items":[{"id":"3"},{"id":"4"}],"label":"S","path":["hero","friends",1]}]}`,
	}},
	{`{ strict @stream }`, ``, []string{
		`{"data":{"strict":[]},"hasNext":true}`,
		`{"hasNext":false,"incremental":[{"items":["apple"],"path":["strict",0]},{"errors":[{"message":"Cannot return null for non-nullable field Query.strict.","path":["strict",1]}],"items":null,"path":["strict",1]}]}`,
	}},
	{`{ hero { name ...F @defer(label: "A") ...F @defer(label: "B") } } fragment F on Hero { name best { id } }`, ``, []string{
		`{"data":{"hero":{"name":"Luke"}},"hasNext":true}`,
		`{"hasNext":false,"incremental":[{"data":{"best":{"id":"5"},"name":"Luke"},"label":"A","path":["hero"]},{"data":{"best":{"id":"5"},"name":"Luke"},"label":"B","path":["hero"]}]}`,
	}},
	{`{ nest { b { c { d ... @defer(label: "A") { ...F ... @defer(label: "B") { e ...F } } } } } } fragment F on C { ... @defer(label: "X") { nothing } }`, ``, []string{
		`{"data":{"nest":{"b":{"c":{"d":"d"}}}},"hasNext":true}`,
		`{"hasNext":false,"incremental":[{"data":null,"errors":[{"message":"Cannot return null for non-nullable field C.nothing.","path":["nest","b","c","nothing"]}],"label":"X","path":["nest","b","c"]},{"data":{"e":"e"},"label":"B","path":["nest","b","c"]},{"data":null,"errors":[{"message":"Cannot return null for non-nullable field C.nothing.","path":["nest","b","c","nothing"]}],"label":"X","path":["nest","b","c"]}]}`,
	}},
}

func TestPartsByPath(t *testing.T) {
	t.Parallel()
	h, err := graphql.NewHandler(incrementalSchema(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range partsByPath {
		body, _ := json.Marshal(map[string]string{"query": c.query})
		res := send(h, "POST", "/", string(body), "Content-Type", older, "Accept", "multipart/mixed;deferSpec=20220824, "+newer)
		var got []string
		for parts := multipart.NewReader(strings.NewReader(res.body), "-"); ; {
			p, err := parts.NextPart()
			if err != nil {
				break
			}
			b, _ := io.ReadAll(p)
			got = append(got, plain(t, string(b)))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s\n got %s\nwant %s", c.query, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
	}
}

// readPart reads one part, which must be whole while the next is not there yet.
func readPart(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var b strings.Builder
	for !strings.HasSuffix(b.String(), "\r\n---") {
		c, err := r.ReadByte()
		if err != nil {
			t.Fatalf("%q: %v", b.String(), err)
		}
		b.WriteByte(c)
	}
	return b.String()
}

// TestPartsComeOneByOne reads over a real connection, on which the first part and its boundary must be there
// while the rest is not.
func TestPartsComeOneByOne(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	h, _ := partsHandler(t, release)
	srv := httptest.NewServer(h)
	defer srv.Close()
	req, _ := http.NewRequestWithContext(t.Context(), "POST", srv.URL, strings.NewReader(partsBody))
	req.Header.Set("Content-Type", older)
	req.Header.Set("Accept", "multipart/mixed")
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	r := bufio.NewReader(res.Body)
	readPart(t, r) // what is before the first
	first := readPart(t, r)
	if want := "\r\nContent-Type: application/json; charset=utf-8\r\n\r\n" + `{"data":{"list":[{"id":1},{"id":2},{"id":3}]},"pending":[`; !strings.HasPrefix(first, want) {
		t.Fatalf("%q", first)
	}
	close(release)
	_, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(io.MultiReader(strings.NewReader("\r\n---"), r), params["boundary"])
	n := 0
	for {
		p, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(p)
		n += strings.Count(string(b), `"data":{"wait":`)
	}
	if n != 3 {
		t.Errorf("%d parts with data", n)
	}
}

// TestPartsOfAClientThatGoes: nothing is left at work for it.
func TestPartsOfAClientThatGoes(t *testing.T) {
	t.Parallel()
	h, waits := partsHandler(t, nil)
	served := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(served)
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "POST", srv.URL, strings.NewReader(partsBody))
	req.Header.Set("Content-Type", older)
	req.Header.Set("Accept", "multipart/mixed")
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	r := bufio.NewReader(res.Body)
	readPart(t, r)
	readPart(t, r)
	cancel()
	if <-served; waits() != 0 {
		t.Errorf("%d resolvers are at work", waits())
	}
}

// TestPartsOverEventStream: each response is an event.
func TestPartsOverEventStream(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	close(closed)
	h, _ := partsHandler(t, closed)
	srv := httptest.NewServer(h)
	defer srv.Close()
	req, _ := http.NewRequestWithContext(t.Context(), "POST", srv.URL, strings.NewReader(`{"query":"{ one { id ... @defer { wait } } }"}`))
	req.Header.Set("Content-Type", older)
	req.Header.Set("Accept", "text/event-stream")
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	for _, want := range []string{`"pending":[{"id":"0","path":["one"]}],"hasNext":true}`, `{"incremental":[{"id":"0","data":{"wait":7}}],"completed":[{"id":"0"}],"hasNext":false}`, "event: complete"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is not in %s", want, b)
		}
	}
}

// Parts over WebSocket, in both subprotocols: one message each, and the end behind the last.
func TestPartsOverWebSocket(t *testing.T) {
	t.Parallel()
	h, err := graphql.NewHandler(schema(t, graphql.WithIncremental(), graphql.SDL(`type Query { a: Int slow: Int }`),
		graphql.Get("Query.a", func(graphql.Root) int { return 1 }),
		graphql.Resolve("Query.slow", func(context.Context, graphql.Root, graphql.NoArgs) (int, error) { return 2, nil }),
	))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := h.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		srv.Close()
	})
	hello := []string{`>{"type":"connection_init"}`, `{"type":"connection_ack"}`}
	for protocol, words := range map[string][2]string{newProtocol: {"subscribe", "next"}, oldProtocol: {"start", "data"}} {
		t.Run(protocol, func(t *testing.T) {
			c := dialWS(t, srv.URL, nil, protocol)
			play(c, hello)
			if protocol == oldProtocol {
				c.hears(`{"type":"ka"}`)
			}
			play(c, []string{
				`>{"id":"1","type":"` + words[0] + `","payload":{"query":"{ a ... @defer { slow } }"}}`,
				`{"id":"1","type":"` + words[1] + `","payload":{"data":{"a":1},"pending":[{"id":"0","path":[]}],"hasNext":true}}`,
				`{"id":"1","type":"` + words[1] + `","payload":{"incremental":[{"id":"0","data":{"slow":2}}],"completed":[{"id":"0"}],"hasNext":false}}`,
				`{"id":"1","type":"complete"}`,
			})
		})
	}
}
