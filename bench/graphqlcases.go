package main

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/anasamu/comm/bench/internal/gqlschema"
)

// graphQLCase is what a row asks, and the data of the right answer, made without
// any GraphQL library.
type graphQLCase struct {
	query     string // a %d in it makes every text another one
	variables any
	data      func() any
}

type object = map[string]any

var graphQLCases = map[string]graphQLCase{
	"graphqlhello": {query: `{ hello }`, data: func() any { return object{"hello": gqlschema.Hello} }},
	"graphqlobjects": {
		query: `{ users { id name age admin } }`,
		data:  func() any { return object{"users": gqlschema.Users} },
	},
	"graphqlbatch":   {query: `{ parents { id batch { id name } } }`, data: func() any { return parentsWith("batch") }},
	"graphqlresolve": {query: `{ parents { id each { id name } } }`, data: func() any { return parentsWith("each") }},
	"graphqlwait":    {query: `{ parents { id wait { id name } } }`, data: func() any { return parentsWith("wait") }},
	"graphqluncached": {
		query:     mediumQuery,
		variables: object{"id": "user-7", "friends": 3, "filter": object{"minAge": 30, "admin": false}, "ages": true},
		data:      mediumData,
	},
}

// distinct is how many texts a case with a %d has: more than any of the caches keeps.
const distinct = 4096

const mediumQuery = `query Medium%d($id: ID!, $friends: Int!, $filter: Filter!, $ages: Boolean!) {
  hello
  user(id: $id) {
    ...person
    friends(first: $friends) {
      ...person
      friends(first: 2) { id name }
    }
  }
  found: search(filter: $filter, first: 5) { ...person }
  admins: search(filter: {admin: true}, first: 2) {
    ... on User { name friends(first: 1) { ...person } }
    admin @skip(if: $ages)
  }
}

fragment person on User {
  id
  name
  age @include(if: $ages)
  admin
}
`

func mediumData() any {
	first := func(list []*gqlschema.User, of func(*gqlschema.User) any) (all []any) {
		for _, u := range list {
			all = append(all, of(u))
		}
		return all
	}
	person := func(u *gqlschema.User) any { return u }
	thirty, yes, no := 30, true, false
	u := gqlschema.UserByID("user-7")
	return object{
		"hello": gqlschema.Hello,
		"user": object{"id": u.ID, "name": u.Name, "age": u.Age, "admin": u.Admin, "friends": first(u.Friends(3), func(f *gqlschema.User) any {
			return object{"id": f.ID, "name": f.Name, "age": f.Age, "admin": f.Admin, "friends": first(f.Friends(2), func(g *gqlschema.User) any {
				return object{"id": g.ID, "name": g.Name}
			})}
		})},
		"found": first(gqlschema.Search(gqlschema.Filter{MinAge: &thirty, Admin: &no}, 5), person),
		"admins": first(gqlschema.Search(gqlschema.Filter{Admin: &yes}, 2), func(a *gqlschema.User) any {
			return object{"name": a.Name, "friends": first(a.Friends(1), person)}
		}),
	}
}

func parentsWith(field string) any {
	var list []any
	for _, p := range gqlschema.Parents {
		list = append(list, object{"id": p.ID, field: gqlschema.Children[p.ID]})
	}
	return object{"parents": list}
}

// bodies are the requests: one, or many with another text each.
func (c graphQLCase) bodies() (list [][]byte) {
	n := 1
	if c.query == mediumQuery {
		n = distinct
	}
	for i := range n {
		request := object{"query": c.query}
		if n > 1 {
			request["query"] = fmt.Sprintf(c.query, distinct+i) // all of one length
		}
		if c.variables != nil {
			request["variables"] = c.variables
		}
		list = append(list, mustJSON(request))
	}
	return list
}

func (c graphQLCase) want() any { return object{"data": c.data()} }

func mustJSON(v any) []byte {
	doc, err := json.Marshal(v)
	if err != nil {
		panic(err) // of literals in this file
	}
	return doc
}

// sameJSON reports whether an answer is want, whatever the order of its keys.
func sameJSON(answer []byte, want any) error {
	var have, must any
	if err := json.Unmarshal(answer, &have); err != nil {
		return fmt.Errorf("%w: %.200q", err, answer)
	}
	if err := json.Unmarshal(mustJSON(want), &must); err != nil {
		return err
	}
	if !reflect.DeepEqual(have, must) {
		return fmt.Errorf("the wrong answer: %.400q, not %.400q", answer, mustJSON(want))
	}
	return nil
}
