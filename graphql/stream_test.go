package graphql_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/anasamu/comm/graphql"
	"github.com/anasamu/comm/sse"
)

const streamType = "text/event-stream"

// openEvents is one open event stream of a client.
type openEvents struct {
	t      testing.TB
	res    *http.Response
	dec    *sse.Decoder
	cancel context.CancelFunc
}

// openStream makes a request that is answered with a stream.
func openStream(t testing.TB, c *http.Client, method, url, body string, header ...string) *openEvents {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", streamType)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return &openEvents{t, res, sse.NewDecoder(res.Body), cancel}
}

// next is the next event, "TYPE DATA", or "end".
func (e *openEvents) next() string {
	ev, err := e.dec.Next()
	if err != nil {
		return "end"
	}
	return strings.TrimSuffix(ev.Type+" "+string(ev.Data), " ")
}

func (e *openEvents) hears(list ...string) {
	e.t.Helper()
	if e.res.StatusCode != 200 || !strings.HasPrefix(e.res.Header.Get("Content-Type"), streamType) {
		b, _ := io.ReadAll(e.res.Body)
		e.t.Fatalf("%d %v %s", e.res.StatusCode, e.res.Header, b)
	}
	for _, want := range list {
		if got := e.next(); got != want && !(strings.HasPrefix(want, "~") && strings.HasPrefix(got, want[1:])) {
			e.t.Fatalf("heard %s\n want %s", got, want)
		}
	}
}

// ask makes a request that is answered at once.
func request(t testing.TB, c *http.Client, method, url, body string, header ...string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(b)}
}

// TestDistinctStream is the distinct connections mode of graphql-sse.
func TestDistinctStream(t *testing.T) {
	t.Parallel()
	_, _, base := serveNews(t)
	c := http.DefaultClient
	query := func(q string) string { return base + "?query=" + url.QueryEscape(q) }
	for name, x := range map[string]struct {
		method, url, body string
		events            []string
	}{
		"subscription":        {"POST", base, `{"query":"subscription { count }"}`, []string{`next {"data":{"count":1}}`, `next {"data":{"count":2}}`, `complete`, `end`}},
		"subscription by get": {"GET", query("subscription { count(to: 1) }"), "", []string{`next {"data":{"count":1}}`, `complete`, `end`}},
		"query":               {"POST", base, `{"query":"{ a }"}`, []string{`next {"data":{"a":1}}`, `complete`, `end`}},
		"query by get":        {"GET", query("{ who }"), "", []string{`next {"data":{"who":"sse  "}}`, `complete`, `end`}},
		"mutation":            {"POST", base, `{"query":"mutation { b }"}`, []string{`next {"data":{"b":2}}`, `complete`, `end`}},
		"invalid":             {"POST", base, `{"query":"subscription { x }"}`, []string{`~next {"errors":[{"message":"Cannot query field`, `complete`, `end`}},
		"syntax":              {"GET", query("{"), "", []string{`~next {"errors":[{"message":"Syntax Error`, `complete`, `end`}},
		"no source":           {"POST", base, `{"query":"subscription { refused }"}`, []string{`~next {"errors":[{"message":"no source"`, `complete`, `end`}},
		"an event fails":      {"POST", base, `{"query":"subscription { broken }"}`, []string{`~next {"data":{"broken":null},"errors":[`, `next {"data":{"broken":2}}`, `complete`, `end`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			openStream(t, c, x.method, x.url, x.body).hears(x.events...)
		})
	}
	for name, x := range map[string]struct {
		got    reply
		status int
		text   string
	}{
		"mutation by get": {request(t, c, "GET", query("mutation { b }"), "", "Accept", streamType), 405, "use POST"},
		"no query":        {request(t, c, "GET", base, "", "Accept", streamType), 400, "query is missing"},
		"no JSON":         {request(t, c, "POST", base, "x", "Accept", streamType), 400, "not a JSON object"},
		"an array":        {request(t, c, "POST", base, `[{"query":"{ a }"}]`, "Accept", streamType), 400, "not a JSON object"},
		"a form":          {request(t, c, "POST", base, "query={a}", "Accept", streamType, "Content-Type", "text/plain"), 415, "must be application/json"},
		"prefers JSON":    {request(t, c, "POST", base, `{"query":"{ a }"}`, "Accept", "application/json, text/event-stream"), 200, `{"data":{"a":1}}`},
	} {
		if x.got.status != x.status || !strings.Contains(x.got.body, x.text) {
			t.Errorf("%s: %v", name, x.got)
		}
	}
}

// A client that goes ends its source.
func TestStreamVanishes(t *testing.T) {
	t.Parallel()
	n, _, base := serveNews(t)
	for _, q := range []string{"forever", "forever(pad: 100)"} {
		e := openStream(t, http.DefaultClient, "POST", base, `{"query":"subscription { `+q+` }"}`)
		e.hears(`~next {"data":{"forever":"`)
		e.cancel()
		eventually(t, "the source to end", func() bool { open, _ := n.state(); return open == 0 })
	}
}

// TestSingleStream is the single connection mode of graphql-sse.
func TestSingleStream(t *testing.T) {
	t.Parallel()
	n, _, base := serveNews(t, graphql.WithMaxOperations(2))
	c := http.DefaultClient
	token := request(t, c, "PUT", base, "")
	if token.status != 201 || len(token.body) < 26 || !strings.HasPrefix(token.header.Get("Content-Type"), "text/plain") || token.header.Get("Cache-Control") != "no-store" {
		t.Fatal(token)
	}
	const header = "X-GraphQL-Event-Stream-Token"
	op := func(id, query string) reply {
		t.Helper()
		return request(t, c, "POST", base, fmt.Sprintf(`{"query":%q,"extensions":{"operationId":%q}}`, query, id), header, token.body)
	}
	if got := op("1", "{ a }"); got.status != 404 || !strings.Contains(got.body, "not open yet") {
		t.Error(got)
	}
	e := openStream(t, c, "GET", base, "", header, token.body)
	for name, x := range map[string]struct {
		got    reply
		status int
		text   string
	}{
		"open twice":      {request(t, c, "GET", base, "", header, token.body, "Accept", streamType), 409, "Stream already open"},
		"open by unknown": {request(t, c, "GET", base+"?token=x", "", "Accept", streamType), 404, "Stream not found"},
		"unknown token":   {request(t, c, "POST", base, `{"query":"{ a }"}`, header, "x"), 404, "Stream not found"},
		"no id":           {request(t, c, "POST", base, `{"query":"{ a }"}`, header, token.body), 400, "operationId is missing"},
		"long id":         {op(strings.Repeat("x", 300), "{ a }"), 400, "too long"},
		"mutation by get": {request(t, c, "GET", base+"?query="+url.QueryEscape("mutation { b }")+"&extensions="+url.QueryEscape(`{"operationId":"g"}`), "", header, token.body), 405, "use POST"},
		"stop without id": {request(t, c, "DELETE", base, "", header, token.body), 400, "operationId is missing"},
		"stop unknown":    {request(t, c, "DELETE", base+"?operationId=x", "", header, token.body), 404, "Operation not found"},
		"stop elsewhere":  {request(t, c, "DELETE", base+"?operationId=x&token=x", ""), 404, "Stream not found"},
	} {
		if x.got.status != x.status || !strings.Contains(x.got.body, x.text) {
			t.Errorf("%s: %v", name, x.got)
		}
	}
	if got := op("q", "{ a }"); got.status != 202 || got.body != "" {
		t.Error(got)
	}
	e.hears(`next {"id":"q","payload":{"data":{"a":1}}}`, `complete {"id":"q"}`)
	if got := request(t, c, "GET", base+"?query={a}&extensions="+url.QueryEscape(`{"operationId":"g"}`), "", header, token.body); got.status != 202 {
		t.Error(got)
	}
	e.hears(`next {"id":"g","payload":{"data":{"a":1}}}`, `complete {"id":"g"}`)
	if got := op("r", "subscription { refused }"); got.status != 202 {
		t.Error(got)
	}
	e.hears(`~next {"id":"r","payload":{"errors":[{"message":"no source"`, `complete {"id":"r"}`)
	if got := op("i", "{ x }"); got.status != 202 {
		t.Error(got)
	}
	e.hears(`~next {"id":"i","payload":{"errors":[{"message":"Cannot query field`, `complete {"id":"i"}`)
	for _, id := range []string{"f", "g"} {
		if got := op(id, "subscription { forever }"); got.status != 202 {
			t.Error(got)
		}
		e.hears(`next {"id":"` + id + `","payload":{"data":{"forever":""}}}`)
	}
	if got := op("f", "{ a }"); got.status != 409 || !strings.Contains(got.body, "already exists") {
		t.Error(got)
	}
	if got := op("h", "{ a }"); got.status != 429 || !strings.Contains(got.body, "limit of 2 operations") {
		t.Error(got)
	}
	if got := request(t, c, "DELETE", base+"?operationId=f", "", header, token.body); got.status != 200 {
		t.Error(got)
	}
	eventually(t, "one source to end", func() bool { open, _ := n.state(); return open == 1 })
	eventually(t, "its place to be free", func() bool { return op("h", "{ a }").status == 202 })
	e.hears(`next {"id":"h","payload":{"data":{"a":1}}}`, `complete {"id":"h"}`)
	e.cancel()
	eventually(t, "all sources to end", func() bool { open, _ := n.state(); return open == 0 })
	eventually(t, "the token to end", func() bool { return op("x", "{ a }").status == 404 })
}

func TestReservationsAreBounded(t *testing.T) {
	t.Parallel()
	_, _, base := serveNews(t, graphql.WithReservations(2, 1<<40))
	for range 2 {
		if got := request(t, http.DefaultClient, "PUT", base, ""); got.status != 201 {
			t.Fatal(got)
		}
	}
	got := request(t, http.DefaultClient, "PUT", base, "")
	if got.status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "reserved streams per address") {
		t.Error(got)
	}
}
