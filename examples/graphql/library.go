package main

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/anasamu/comm/graphql"
)

type genre int

const (
	novel genre = iota
	poetry
)

type book struct {
	ID     string
	Title  string
	Genre  genre
	Year   *int
	author string // its id
}

type author struct{ ID, Name string }

// initials are the first letters of a name's words.
func (a *author) initials() string {
	var b strings.Builder
	for word := range strings.FieldsSeq(a.Name) {
		b.WriteString(word[:1])
	}
	return b.String()
}

// library stands for a database: its methods may take their time.
type library struct {
	mu      sync.Mutex // guards the fields below
	books   []*book
	authors []*author

	news graphql.Topic[*book] // of what is added
}

func newLibrary() *library {
	lib := &library{}
	for _, b := range []newBook{
		{"Middlemarch", "George Eliot", novel, graphql.Some(1871)},
		{"Silas Marner", "George Eliot", novel, graphql.Some(1861)},
		{"Leaves of Grass", "Walt Whitman", poetry, graphql.Some(1855)},
	} {
		lib.insert(b)
	}
	return lib
}

type newBook struct {
	Title, Author string
	Genre         genre
	Year          graphql.Opt[int]
}

func (l *library) insert(n newBook) *book {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := &book{ID: "b" + strconv.Itoa(len(l.books)+1), Title: n.Title, Genre: n.Genre, author: l.authorNamed(n.Author)}
	if year, ok := n.Year.Get(); ok {
		b.Year = &year
	}
	l.books = append(l.books, b)
	l.news.Publish(b)
	return b
}

func (l *library) authorNamed(name string) string {
	for _, a := range l.authors {
		if a.Name == name {
			return a.ID
		}
	}
	a := &author{"a" + strconv.Itoa(len(l.authors)+1), name}
	l.authors = append(l.authors, a)
	return a.ID
}

func (l *library) list(_ context.Context, _ graphql.Root, args struct {
	First int
	Genre graphql.Opt[genre]
},
) (list []*book, err error) {
	if args.First < 0 || args.First > 100 {
		return nil, graphql.Errorf("first is %d; 0 to 100 are allowed", args.First)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.books {
		if g, ok := args.Genre.Get(); len(list) < args.First && (!ok || b.Genre == g) {
			list = append(list, b)
		}
	}
	return list, nil
}

func (l *library) find(_ context.Context, _ graphql.Root, args struct{ ID string }) (*book, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.books {
		if b.ID == args.ID {
			return b, nil
		}
	}
	return nil, nil
}

func (l *library) search(_ context.Context, _ graphql.Root, args struct{ Text string }) (items []any, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.books {
		if strings.Contains(b.Title, args.Text) {
			items = append(items, b)
		}
	}
	for _, a := range l.authors {
		if strings.Contains(a.Name, args.Text) {
			items = append(items, a)
		}
	}
	return items, nil
}

func (l *library) add(_ context.Context, _ graphql.Root, args struct{ Book newBook }) (*book, error) {
	if args.Book.Title == "" || args.Book.Author == "" {
		return nil, graphql.Errorf("a book needs a title and an author")
	}
	return l.insert(args.Book), nil
}

// added is the books that are added from now on.
func (l *library) added(_ context.Context, args struct{ Genre graphql.Opt[genre] }) (graphql.Source[*book], error) {
	if g, ok := args.Genre.Get(); ok {
		return l.news.Where(func(b *book) bool { return b.Genre == g }), nil
	}
	return &l.news, nil
}

// booksOf is asked once for all authors of a response.
func (l *library) booksOf(_ context.Context, authors []*author, _ graphql.NoArgs) ([][]*book, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	by := make(map[string][]*book)
	for _, b := range l.books {
		by[b.author] = append(by[b.author], b)
	}
	out := make([][]*book, len(authors))
	for i, a := range authors {
		out[i] = by[a.ID]
	}
	return out, nil
}

// authorsOf is asked once for all books of a response.
func (l *library) authorsOf(_ context.Context, books []*book, _ graphql.NoArgs) ([]*author, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	by := make(map[string]*author)
	for _, a := range l.authors {
		by[a.ID] = a
	}
	out := make([]*author, len(books))
	for i, b := range books {
		out[i] = by[b.author]
	}
	return out, nil
}
