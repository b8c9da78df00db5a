// Package gqlschema is the schema and the data that all GraphQL servers of the
// measurements serve.
package gqlschema

import (
	_ "embed" // the SDL
	"fmt"
	"strconv"
	"strings"
	"time"
)

// SDL is the schema. gqlgen's code is made of the same file.
//
//go:embed schema.graphql
var SDL string

// Hello is the answer of Query.hello.
const Hello = "world"

// User is one of 100 objects.
type User struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Age   int    `json:"age"`
	Admin bool   `json:"admin"`

	index int
}

// Parent has ten children.
type Parent struct {
	ID int `json:"id"`
}

// Child is one of ten.
type Child struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

// Tick is an event.
type Tick struct {
	Seq  int    `json:"seq"`
	Text string `json:"text"`
}

// Filter chooses users; nil members choose all.
type Filter struct {
	MinAge *int
	Admin  *bool
}

// The data. Nobody changes it.
var (
	Users    = makeUsers(100)
	Parents  = makeParents(100)
	Children = makeChildren(100, 10)
)

func makeUsers(n int) []*User {
	list := make([]*User, n)
	for i := range list {
		list[i] = &User{ID: fmt.Sprint("user-", i), Name: fmt.Sprint("Name of ", i), Age: 20 + i%50, Admin: i%7 == 0, index: i}
	}
	return list
}

func makeParents(n int) []*Parent {
	list := make([]*Parent, n)
	for i := range list {
		list[i] = &Parent{i}
	}
	return list
}

func makeChildren(parents, n int) [][]*Child {
	lists := make([][]*Child, parents)
	for p := range lists {
		for i := range n {
			lists[p] = append(lists[p], &Child{p*n + i, fmt.Sprint("Child ", i, " of ", p)})
		}
	}
	return lists
}

// UserByID is the user of an ID, or nil.
func UserByID(id string) *User {
	number, _ := strings.CutPrefix(id, "user-")
	i, err := strconv.Atoi(number)
	if err != nil || i < 0 || i >= len(Users) {
		return nil
	}
	return Users[i]
}

// Friends are the users that come after u.
func (u *User) Friends(first int) []*User {
	list := make([]*User, 0, first)
	for i := range first {
		list = append(list, Users[(u.index+1+i)%len(Users)])
	}
	return list
}

// Wait is how long a store in another process might take.
const Wait = time.Millisecond

// WaitForChildren is what a resolver does that blocks.
func WaitForChildren(p *Parent) []*Child {
	time.Sleep(Wait)
	return Children[p.ID]
}

// Search gives the first users that a filter lets through.
func Search(f Filter, first int) []*User {
	list := make([]*User, 0, first)
	for _, u := range Users {
		if len(list) == first {
			break
		}
		if (f.MinAge == nil || u.Age >= *f.MinAge) && (f.Admin == nil || u.Admin == *f.Admin) {
			list = append(list, u)
		}
	}
	return list
}

// ChildrenOf gives each parent's children by one call.
func ChildrenOf(ps []*Parent) [][]*Child {
	lists := make([][]*Child, len(ps))
	for i, p := range ps {
		lists[i] = Children[p.ID]
	}
	return lists
}
