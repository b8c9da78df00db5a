package graphql_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm/graphql"
)

// FuzzExecute executes any document with any variables: no panic, JSON, and within a bound of time.
func FuzzExecute(f *testing.F) {
	for _, seed := range [][2]string{
		{`{ user(in: {name: "a" nick: null role: ADMIN tags: ["x"] grid: [[1]] since: "2020-01-02"}) }`, `{}`},
		{`query($u: NewUser, $c: Choice) { user(in: $u) choice(c: $c) }`, `{"u":{"name":"a","friend":{"name":"b"}},"c":{"a":1}}`},
		{`query A($i: Int = 1, $on: Boolean!) { int(i: $i) @include(if: $on) ...F } fragment F on Query { float(f: 1e3) id(id: 4) }`, `{"i":2,"on":true}`},
		{introspectionQuery, ``},
		{`{ __typename a: str(s: "\u00e9\uD83D\uDE00") b: str(s: """x""") }`, `null`},
		{`mutation { a } subscription S { b }`, `[1]`},
	} {
		f.Add(seed[0], seed[1])
	}
	s := inputSchema(f)
	pets := schema(f, petOptions()...)
	f.Fuzz(func(t *testing.T, query, variables string) {
		began := time.Now()
		for _, s := range []*graphql.Schema{s, pets} {
			got := ask(t, s, query, variables)
			var res struct {
				Data   *json.RawMessage
				Errors []struct {
					Message   string
					Locations []struct{ Line, Column int }
				}
			}
			if err := json.Unmarshal([]byte(got), &res); err != nil || res.Data == nil && len(res.Errors) == 0 {
				if !strings.HasPrefix(got, `{"data":null,"errors":`) {
					t.Fatal(err, got)
				}
			}
			if strings.Contains(got, "cannot be validated") || strings.Contains(got, graphql.CodeInternal) {
				t.Fatal(got)
			}
			if again := ask(t, s, query, variables); again != got {
				t.Fatalf("from the cache:\n%s\n%s", got, again)
			}
		}
		if d := time.Since(began); d > 30*time.Second {
			t.Fatalf("%d bytes took %v", len(query)+len(variables), d)
		}
	})
}

// FuzzRequest reads any body.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"query":"{ a }","operationName":null,"variables":{"a":1},"extensions":{"persistedQuery":{"version":1}},"documentId":"x"}`))
	f.Add([]byte(`[{"query":"{ a }"}]`))
	s := inputSchema(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := graphql.ParseRequest(body)
		if err != nil {
			return
		}
		if !json.Valid(body) {
			t.Fatalf("accepted: %q", body)
		}
		if b, _ := s.Append(t.Context(), nil, req); !json.Valid(b) {
			t.Fatalf("%s", b)
		}
	})
}
