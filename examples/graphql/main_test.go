package main

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
)

func TestService(t *testing.T) {
	t.Parallel()
	gw, err := newService(newLibrary(), comm.WithInMemory(), comm.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	if err := gw.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: gw.DialContext}
	t.Cleanup(func() { transport.CloseIdleConnections(); gw.Close() })
	client := &http.Client{Transport: transport}
	for _, c := range []struct{ body, want string }{
		{
			`{"query":"{ books(first: 2) { id title year author { name initials books { title } } } }"}`,
			`{"data":{"books":[{"id":"b1","title":"Middlemarch","year":1871,"author":{"name":"George Eliot","initials":"GE","books":[{"title":"Middlemarch"},{"title":"Silas Marner"}]}},` +
				`{"id":"b2","title":"Silas Marner","year":1861,"author":{"name":"George Eliot","initials":"GE","books":[{"title":"Middlemarch"},{"title":"Silas Marner"}]}}]}}`,
		},
		{
			`{"query":"mutation($b: NewBook!) { addBook(book: $b) { id genre year author { id } } }","variables":{"b":{"title":"Adam Bede","author":"George Eliot"}}}`,
			`{"data":{"addBook":{"id":"b4","genre":"NOVEL","year":null,"author":{"id":"a1"}}}}`,
		},
		{
			`{"query":"{ search(text: \"W\") { __typename id ... on Author { name } } poems: books(genre: POETRY) { title } }"}`,
			`{"data":{"search":[{"__typename":"Author","id":"a2","name":"Walt Whitman"}],"poems":[{"title":"Leaves of Grass"}]}}`,
		},
		{
			`{"query":"{ book(id: \"b9\") { id } books(first: 1000) { id } }"}`,
			`{"data":null,"errors":[{"message":"first is 1000; 0 to 100 are allowed","locations":[{"line":1,"column":25}],"path":["books"]}]}`,
		},
	} {
		res, err := client.Post("http://service/graphql", "application/json", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(got) != c.want {
			t.Errorf("%s\n got %s %v\nwant %s", c.body, got, err, c.want)
		}
	}
	res, err := client.Get("http://service/graphql/playground/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		t.Error(res.Status)
	}
}

// A subscriber gets what is added once it has begun, in order, whether it reads at once or late.
func TestBookAdded(t *testing.T) {
	t.Parallel()
	lib := newLibrary()
	s, err := graphql.NewSchema(fields(lib)...)
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string][]string{
		`subscription { bookAdded(genre: POETRY) { title } }`: {"One", "Two", "Three"},
		`subscription { bookAdded { title } }`:                {"One", "Novel", "Two", "Three"},
	} {
		events, err := graphql.NewClient(s).Subscribe(t.Context(), query, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range []newBook{{Title: "One", Genre: poetry}, {Title: "Novel", Genre: novel}, {Title: "Two", Genre: poetry}} {
			lib.insert(b)
		}
		var got []string
		for data, err := range events {
			var e struct{ BookAdded struct{ Title string } }
			if err := errors.Join(err, json.Unmarshal(data, &e)); err != nil {
				t.Fatal(err)
			}
			got = append(got, e.BookAdded.Title)
			if e.BookAdded.Title == "Two" {
				go lib.insert(newBook{Title: "Three", Genre: poetry})
			}
			if len(got) == len(want) {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}
