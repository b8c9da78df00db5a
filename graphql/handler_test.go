package graphql_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/anasamu/comm/graphql"
)

const (
	newer = "application/graphql-response+json"
	older = "application/json"
)

func handler(t testing.TB, opts ...graphql.HandlerOption) *graphql.Handler {
	t.Helper()
	s := schema(t, graphql.SDL(`type Query { a: Int echo(s: String): String header: String fail: Int } type Mutation { b: Int } type Subscription { c: Int }`),
		value("Query.a", 1), value("Mutation.b", 2),
		graphql.GetWith("Query.echo", func(_ graphql.Root, a struct{ S string }) string { return a.S }),
		graphql.Resolve("Query.header", func(ctx context.Context, _ graphql.Root, _ graphql.NoArgs) (string, error) {
			tr := graphql.TransportOf(ctx)
			return tr.Name + " " + tr.Header.Get("X-Test") + " " + tr.Request.Method, nil
		}),
		graphql.Resolve("Query.fail", func(context.Context, graphql.Root, graphql.NoArgs) (int, error) { return 0, graphql.Errorf("no") }),
		graphql.Subscribe("Subscription.c", source(1)),
	)
	h, err := graphql.NewHandler(s, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

type reply struct {
	status int
	header http.Header
	body   string
}

func send(h http.Handler, method, target, body string, header ...string) reply {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return reply{w.Code, w.Header(), w.Body.String()}
}

// TestHTTP are the rules of the GraphQL-over-HTTP draft.
func TestHTTP(t *testing.T) {
	t.Parallel()
	h := handler(t)
	post := func(body string, header ...string) reply {
		return send(h, "POST", "/", body, append([]string{"Content-Type", "application/json"}, header...)...)
	}
	get := func(query string, header ...string) reply { return send(h, "GET", "/?"+query, "", header...) }
	q := func(query string) string { return "query=" + url.QueryEscape(query) }
	for name, c := range map[string]struct {
		got    reply
		status int
		media  string
		body   string
	}{
		"post":                       {post(`{"query":"{ a }"}`), 200, older, `{"data":{"a":1}}`},
		"accept newer":               {post(`{"query":"{ a }"}`, "Accept", newer), 200, newer, `{"data":{"a":1}}`},
		"accept newer first":         {post(`{"query":"{ a }"}`, "Accept", newer+", "+older), 200, newer, `{"data":{"a":1}}`},
		"accept older first":         {post(`{"query":"{ a }"}`, "Accept", older+"; charset=utf-8, "+newer), 200, older, `{"data":{"a":1}}`},
		"accept by quality":          {post(`{"query":"{ a }"}`, "Accept", older+";q=0.5, "+newer+";q=0.9"), 200, newer, `{"data":{"a":1}}`},
		"accept anything":            {post(`{"query":"{ a }"}`, "Accept", "text/html, */*;q=0.1"), 200, older, `{"data":{"a":1}}`},
		"accept application":         {post(`{"query":"{ a }"}`, "Accept", "application/*"), 200, older, `{"data":{"a":1}}`},
		"accept html":                {post(`{"query":"{ a }"}`, "Accept", "text/html"), 406, older, `accept one of them`},
		"accept nothing":             {post(`{"query":"{ a }"}`, "Accept", older+";q=0"), 406, older, `accept one of them`},
		"accept utf-16":              {post(`{"query":"{ a }"}`, "Accept", newer+";charset=utf-16"), 406, older, `accept one of them`},
		"charset":                    {post(`{"query":"{ a }"}`, "Content-Type", "application/json; charset=UTF-8"), 200, older, `{"data":{"a":1}}`},
		"other charset":              {post(`{"query":"{ a }"}`, "Content-Type", "application/json; charset=latin1"), 415, older, `must be utf-8`},
		"text":                       {post(`{"query":"{ a }"}`, "Content-Type", "text/plain"), 415, older, `must be application/json`},
		"form":                       {post(`query={a}`, "Content-Type", "application/x-www-form-urlencoded"), 415, older, `must be application/json`},
		"no content type":            {post(`{"query":"{ a }"}`, "Content-Type", ""), 415, older, `must be application/json`},
		"gzip":                       {post(`{"query":"{ a }"}`, "Content-Encoding", "gzip"), 415, older, `is not read`},
		"empty body":                 {post(``), 400, older, `body is empty`},
		"bad json":                   {post(`{"query`), 400, older, `not a JSON object`},
		"bad json, newer":            {post(`{"query`, "Accept", newer), 400, newer, `not a JSON object`},
		"no object":                  {post(`"x"`), 400, older, `not a JSON object`},
		"no query":                   {post(`{"variables":{}}`), 400, older, `query is missing`},
		"no query, newer":            {post(`{}`, "Accept", newer), 400, newer, `query is missing`},
		"query is no string":         {post(`{"query":{}}`), 400, older, `query must be a string`},
		"variables are no object":    {post(`{"query":"{ a }","variables":[]}`), 400, older, `variables must be a JSON object`},
		"operationName is no string": {post(`{"query":"{ a }","operationName":1}`), 400, older, `operationName must be a string`},
		"extensions are no object":   {post(`{"query":"{ a }","extensions":7}`), 400, older, `extensions must be a JSON object`},
		"nulls":                      {post(`{"query":"{ a }","variables":null,"operationName":null,"extensions":null}`), 200, older, `{"data":{"a":1}}`},
		"unknown members":            {post(`{"query":"{ a }","x":1}`), 200, older, `{"data":{"a":1}}`},
		"escapes":                    {post(`{"query":"{ echo(s: \"\\u00e9\\n\") }"}`), 200, older, `{"data":{"echo":"é\n"}}`},
		"variables":                  {post(`{"query":"query($s: String) { echo(s: $s) }","variables":{"s":"<é>"}}`), 200, older, `{"data":{"echo":"<é>"}}`},
		"operation":                  {post(`{"query":"query A { a } query B { b: a }","operationName":"B"}`), 200, older, `{"data":{"b":1}}`},
		"syntax error":               {post(`{"query":"{"}`), 200, older, `Syntax Error`},
		"syntax error, newer":        {post(`{"query":"{"}`, "Accept", newer), 400, newer, `Syntax Error`},
		"invalid":                    {post(`{"query":"{ x }"}`), 200, older, `Cannot query field`},
		"invalid, newer":             {post(`{"query":"{ x }"}`, "Accept", newer), 400, newer, `Cannot query field`},
		"unknown operation":          {post(`{"query":"{ a }","operationName":"X"}`, "Accept", newer), 400, newer, `Unknown operation`},
		"wrong variables":            {post(`{"query":"query($s: String!) { echo(s: $s) }"}`, "Accept", newer), 400, newer, `not provided`},
		"field error, newer":         {post(`{"query":"{ fail }"}`, "Accept", newer), 200, newer, `{"data":{"fail":null},"errors"`},
		"mutation":                   {post(`{"query":"mutation { b }"}`), 200, older, `{"data":{"b":2}}`},
		"subscription":               {post(`{"query":"subscription { c }"}`, "Accept", newer), 400, newer, `transport for streams`},
		"get":                        {get(q("{ a }")), 200, older, `{"data":{"a":1}}`},
		"get with variables":         {get(q("query Q($s: String) { echo(s: $s) }") + "&operationName=Q&variables=" + url.QueryEscape(`{"s":"x"}`)), 200, older, `{"data":{"echo":"x"}}`},
		"get with bad variables":     {get(q("{ a }") + "&variables=x"), 400, older, `variables must be a JSON object`},
		"get with bad extensions":    {get(q("{ a }") + "&extensions=[1]"), 400, older, `extensions must be a JSON object`},
		"get without query":          {get(""), 400, older, `query is missing`},
		"mutation by get":            {get(q("mutation { b }")), 405, older, `use POST`},
		"mutation by get, newer":     {get(q("mutation { b }"), "Accept", newer), 405, newer, `use POST`},
		"put":                        {send(h, "PUT", "/", `{"query":"{ a }"}`, "Content-Type", older), 405, older, `use GET or POST`},
		"header":                     {post(`{"query":"{ header }"}`, "X-Test", "seen"), 200, older, `{"data":{"header":"http seen POST"}}`},
		"persisted, unknown":         {post(`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + graphql.HashOf("{ a }") + `"}}}`), 200, older, `PersistedQueryNotFound`},
		"persisted, unknown, newer":  {post(`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"`+graphql.HashOf("{ a }")+`"}}}`, "Accept", newer), 400, newer, `PersistedQueryNotFound`},
		"batch":                      {post(` [{"query":"{ a }"},{"query":"mutation { b }"},{"query":"{"},3]`), 200, older, `[{"data":{"a":1}},{"data":{"b":2}},{"errors":[{"message":"Syntax Error`},
		"empty batch":                {post(`[]`), 400, older, `holds no request`},
		"bad batch":                  {post(`[{}`), 400, older, `not JSON`},
		"batch over the limit":       {post(`[` + strings.Repeat(`{"query":"{ a }"},`, 10) + `{"query":"{ a }"}]`), 400, older, `more than 10`},
		"body over the limit":        {post(`{"query":"{ a }","x":"` + strings.Repeat("x", 1<<20) + `"}`), 413, older, `larger than 1048576 bytes`},
	} {
		if c.got.status != c.status || c.got.header.Get("Content-Type") != c.media+"; charset=utf-8" || !strings.Contains(c.got.body, c.body) {
			t.Errorf("%s: %d %s %s", name, c.got.status, c.got.header.Get("Content-Type"), c.got.body)
		}
		if c.status >= 400 && strings.Contains(c.got.body, `"data"`) {
			t.Errorf("%s: %s", name, c.got.body)
		}
		if c.got.header.Get("Vary") != "Accept" || c.got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", name, c.got.header)
		}
	}
	if got := send(h, "DELETE", "/", ""); got.header.Get("Allow") != "GET, POST, PUT, DELETE" {
		t.Error(got)
	}
	if got := get(q("mutation { b }")); got.header.Get("Allow") != "POST" {
		t.Error(got)
	}
	none := handler(t, graphql.WithBatchLimit(0), graphql.WithMaxBody(30))
	if got := send(none, "POST", "/", `[{"query":"{a}"}]`, "Content-Type", older); got.status != 400 || !strings.Contains(got.body, "one request at a time") {
		t.Error(got)
	}
	if got := send(none, "POST", "/", `{"query":"{a}"}`+strings.Repeat(" ", 30), "Content-Type", older); got.status != 413 {
		t.Error(got)
	}
	if _, err := graphql.NewHandler(nil); err == nil {
		t.Error("no error")
	}
	if _, err := graphql.NewHandler(h.Schema(), nil, graphql.WithMaxBody(0), graphql.WithBatchLimit(-1)); err == nil || !strings.Contains(err.Error(), "WithMaxBody(0)") || !strings.Contains(err.Error(), "WithBatchLimit(-1)") || !strings.Contains(err.Error(), "nil") {
		t.Error(err)
	}
}

// A client that goes ends the context of its resolvers.
func TestClientGoes(t *testing.T) {
	t.Parallel()
	entered, ended := make(chan struct{}), make(chan error, 1)
	h, err := graphql.NewHandler(schema(t, graphql.SDL(`type Query { wait: Int }`),
		graphql.Resolve("Query.wait", func(ctx context.Context, _ graphql.Root, _ graphql.NoArgs) (int, error) {
			close(entered)
			<-ctx.Done()
			ended <- ctx.Err()
			return 0, ctx.Err()
		})))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	r, _ := http.NewRequestWithContext(ctx, "GET", srv.URL+"?query={wait}", nil)
	if res, err := srv.Client().Do(r); err == nil {
		t.Error(res.Status)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func BenchmarkHandler(b *testing.B) {
	h := handler(b)
	body := `{"query":"{ a }"}`
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != 200 {
			b.Fatal(fmt.Sprint(w))
		}
	}
}
