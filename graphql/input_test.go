package graphql_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm/graphql"
)

type role int

const (
	admin role = iota + 1
	guest
)

type newUser struct {
	Name  string
	Nick  graphql.Opt[string]
	Role  role
	Tags  []string
	Grid  [][]int
	Since *time.Time
	Best  *newUser `graphql:"friend"`
	Any   any
	Score float64
}

const inputSDL = `
scalar Time
scalar Any
enum Role { ADMIN GUEST }
input NewUser { name: String! nick: String role: Role = GUEST tags: [String!] grid: [[Int]] since: Time friend: NewUser any: Any score: Float = 1 }
input Choice @oneOf { a: Int b: String }
type Query { user(in: NewUser): String ints(v: [Int], w: [[Int]]): String role(r: Role! = ADMIN): Role choice(c: Choice): String
	float(f: Float): Float int(i: Int): Int id(id: ID): ID str(s: String): String bool(b: Boolean): Boolean time(t: Time!): Time any(a: Any): Any }`

func inputSchema(t testing.TB) *graphql.Schema {
	show := func(v any) string { return fmt.Sprintf("%+v", v) }
	return schema(t,
		graphql.SDL(inputSDL),
		graphql.Enum("Role", map[string]role{"ADMIN": admin, "GUEST": guest}),
		graphql.Scalar("Time", func(v any) (time.Time, error) {
			s, ok := v.(string)
			if !ok {
				return time.Time{}, fmt.Errorf("a time is a string, not %T", v)
			}
			return time.Parse(time.DateOnly, s)
		}, func(b []byte, t time.Time) ([]byte, error) { return t.AppendFormat(append(b, '"'), `2006-01-02"`), nil }),
		graphql.Bind[newUser]("NewUser"),
		graphql.GetWith("Query.user", func(_ graphql.Root, a struct{ In *newUser }) string {
			if a.In == nil {
				return "none"
			}
			u := *a.In
			nick, ok := u.Nick.Get()
			s := fmt.Sprintf("%s nick=%q/%v/%v/%v role=%d tags=%q grid=%v", u.Name, nick, ok, u.Nick.IsNull(), u.Nick.IsAbsent(), u.Role, u.Tags, u.Grid)
			if u.Since != nil {
				s += u.Since.Format(" since=2006")
			}
			if u.Best != nil {
				s += " friend=" + u.Best.Name
			}
			return s + fmt.Sprintf(" any=%v/%T score=%v", u.Any, u.Any, u.Score)
		}),
		graphql.GetWith("Query.ints", func(_ graphql.Root, a struct {
			V []*int
			W [][]int
		},
		) string {
			b, _ := json.Marshal(a)
			return string(b)
		}),
		graphql.GetWith("Query.role", func(_ graphql.Root, a struct{ R role }) role { return a.R }),
		graphql.GetWith("Query.choice", func(_ graphql.Root, a map[string]any) string { return show(a["c"]) }),
		graphql.GetWith("Query.float", func(_ graphql.Root, a struct{ F float64 }) float64 { return a.F }),
		graphql.GetWith("Query.int", func(_ graphql.Root, a struct{ I *int32 }) *int32 { return a.I }),
		graphql.GetWith("Query.id", func(_ graphql.Root, a struct{ ID string }) string { return a.ID }),
		graphql.GetWith("Query.str", func(_ graphql.Root, a struct{ S graphql.Opt[string] }) string { return a.S.Or("absent") }),
		graphql.GetWith("Query.bool", func(_ graphql.Root, a struct{ B bool }) bool { return a.B }),
		graphql.GetWith("Query.time", func(_ graphql.Root, a struct{ T time.Time }) time.Time { return a.T }),
		graphql.GetWith("Query.any", func(_ graphql.Root, a struct{ A any }) any { return a.A }),
	)
}

func TestInput(t *testing.T) {
	t.Parallel()
	s := inputSchema(t)
	data := func(query, want string, variables ...string) {
		t.Helper()
		got := ask(t, s, query, variables...)
		var res struct {
			Data map[string]any
		}
		_ = json.Unmarshal([]byte(got), &res)
		for _, v := range res.Data {
			if have := fmt.Sprint(v); have == want && !strings.Contains(got, `"errors"`) {
				return
			}
		}
		t.Errorf("%s %v\n got %s\nwant %s", query, variables, got, want)
	}
	data(`{ user(in: {name: "a"}) }`, `a nick=""/false/false/true role=2 tags=[] grid=[] any=<nil>/<nil> score=1`)
	data(`{ user(in: {name: "a" nick: null role: ADMIN score: 2}) }`, `a nick=""/false/true/false role=1 tags=[] grid=[] any=<nil>/<nil> score=2`)
	data(`{ user(in: {name: "a" nick: "n" tags: "t" grid: 1 since: "2020-01-02" friend: {name: "b"} any: {x: [1, 2.5, "y", Z]}}) }`,
		`a nick="n"/true/false/false role=2 tags=["t"] grid=[[1]] since=2020 friend=b any=map[x:[1 2.5 y Z]]/map[string]interface {} score=1`)
	data(`query($u: NewUser) { user(in: $u) }`, `none`)
	data(`query($u: NewUser) { user(in: $u) }`, `none`, `{"u":null}`)
	data(`query($u: NewUser) { user(in: $u) }`, `a nick="n"/true/false/false role=1 tags=["t"] grid=[[1]] since=2020 any=9007199254740993/int64 score=1e+30`,
		`{"u":{"name":"a","nick":"n","role":"ADMIN","tags":"t","grid":1,"since":"2020-02-03","any":9007199254740993,"score":1e30}}`)
	// an unset variable inside an input object leaves the key out, so that its default counts
	data(`query($n: String, $r: Role) { user(in: {name: "a" nick: $n role: $r}) }`, `a nick=""/false/false/true role=2 tags=[] grid=[] any=<nil>/<nil> score=1`)
	data(`query($n: String, $r: Role) { user(in: {name: "a" nick: $n role: $r}) }`, `a nick=""/false/true/false role=0 tags=[] grid=[] any=<nil>/<nil> score=1`, `{"n":null,"r":null}`)
	data(`query($x: Any) { any(a: {k: [$x, 1], l: $x}) }`, `map[k:[map[y:5] 1] l:map[y:5]]`, `{"x":{"y":5}}`)
	data(`query($x: Any) { any(a: {k: $x}) }`, `map[]`)
	// scalar to list
	data(`{ ints(v: 1, w: 2) }`, `{"V":[1],"W":[[2]]}`)
	data(`{ ints(v: [1, null], w: [[1, 2], [3]]) }`, `{"V":[1,null],"W":[[1,2],[3]]}`)
	data(`query($v: [Int], $w: [[Int]]) { ints(v: $v, w: $w) }`, `{"V":[7],"W":[[8]]}`, `{"v":7,"w":8}`)
	data(`query($i: Int) { ints(v: [$i, 2]) }`, `{"V":[null,2],"W":null}`)
	data(`query($i: Int) { ints(v: [$i, 2]) }`, `{"V":[3,2],"W":null}`, `{"i":3}`)
	refused(t, s, `{ ints(w: [1, 2]) }`, ``) // the rule of the September 2025 specification: only a whole scalar becomes a list
	refused(t, s, `query($w: [[Int]]) { ints(w: $w) }`, `{"w":[1,2]}`)
	// enums
	data(`{ role }`, `ADMIN`)
	data(`query($r: Role! = GUEST) { role(r: $r) }`, `GUEST`)
	data(`query($r: Role! = GUEST) { role(r: $r) }`, `ADMIN`, `{"r":"ADMIN"}`)
	refused(t, s, `query($r: Role!) { role(r: $r) }`, `{"r":"admin"}`, `does not exist in \"Role\" enum. Did you mean \"ADMIN\"?`)
	refused(t, s, `query($r: Role!) { role(r: $r) }`, `{"r":1}`, `non-string value`)
	refused(t, s, `{ role(r: "ADMIN") }`, ``, `non-enum`)
	// numbers
	data(`{ int(i: 2147483647) }`, `2.147483647e+09`)
	data(`query($i: Int) { int(i: $i) }`, `1`, `{"i":1.0}`)
	refused(t, s, `{ int(i: 3000000000) }`, ``, `non 32-bit`)
	for _, bad := range []string{`1.5`, `"12"`, `2147483648`, `1099511627776`, `true`, `[1]`, `{}`} {
		refused(t, s, `query($i: Int) { int(i: $i) }`, `{"i":`+bad+`}`, `Int cannot represent`)
	}
	data(`{ float(f: 9223372036854775808) }`, `9.223372036854776e+18`)
	data(`{ float(f: 123456789012345678901234567890) }`, `1.2345678901234568e+29`)
	refused(t, s, `query($f: Float) { float(f: $f) }`, `{"f":"NaN"}`, `Float cannot represent`)
	refused(t, s, `{ float(f: 1e999) }`, ``, `double precision`)
	data(`{ id(id: 4) }`, `4`)
	data(`query($i: ID) { id(id: $i) }`, `44444444444444444444`, `{"i":44444444444444444444}`)
	refused(t, s, `query($i: ID) { id(id: $i) }`, `{"i":4.5}`, `ID cannot represent`)
	data(`{ str }`, `absent`)
	data(`{ str(s: """
		block "quoted"
		""") }`, `block "quoted"`)
	data(`{ str(s: "\u00e9\uD83D\uDE00\u{1F600}") }`, `é😀😀`)
	refused(t, s, `{ str(s: "\uD83D") }`, ``, `Syntax Error: Invalid Unicode escape`)
	refused(t, s, `{ str(s: "\uDE00\uD83D") }`, ``, `Syntax Error: Invalid Unicode escape`, `"column":11`)
	refused(t, s, `query($b: Boolean) { bool(b: $b) }`, `{"b":"true"}`, `Boolean cannot represent`)
	// custom scalars
	data(`{ time(t: "2020-01-02") }`, `2020-01-02`)
	data(`query($t: Time!) { time(t: $t) }`, `2020-01-02`, `{"t":"2020-01-02"}`)
	refused(t, s, `query($t: Time!) { time(t: $t) }`, `{"t":7}`, `Expected type \"Time\". a time is a string, not int64`)
	expect(t, s, `{ time(t: 7) }`, `{"data":{"time":null},"errors":[{"message":"Argument \"t\" has invalid value 7: a time is a string, not int64","locations":[{"line":1,"column":11}],"path":["time"]}]}`)
	// oneOf, checked again once the variables are known
	data(`{ choice(c: {a: 1}) }`, `map[a:1]`)
	data(`query($a: Int!) { choice(c: {a: $a}) }`, `map[a:1]`, `{"a":1}`)
	data(`query($c: Choice) { choice(c: $c) }`, `map[b:x]`, `{"c":{"b":"x"}}`)
	refused(t, s, `{ choice(c: {a: 1, b: "x"}) }`, ``, `exactly one key`)
	refused(t, s, `{ choice(c: {a: null}) }`, ``, `must be non-null`)
	refused(t, s, `query($a: Int) { choice(c: {a: $a}) }`, ``, `must be non-null`)
	refused(t, s, `query($c: Choice) { choice(c: $c) }`, `{"c":{"a":1,"b":"x"}}`, `Exactly one key`)
	refused(t, s, `query($c: Choice) { choice(c: $c) }`, `{"c":{}}`, `Exactly one key`)
	refused(t, s, `query($c: Choice) { choice(c: $c) }`, `{"c":{"a":null}}`, `must be non-null`)
	// the place of what is wrong
	refused(t, s, `query($u: NewUser) { user(in: $u) }`, `{"u":{"name":"a","grid":[[1],["x"]],"nope":1,"friend":{}}}`,
		`at \"u.grid[1][0]\"; Int cannot represent`, `Field \"nope\" is not defined`, `at \"u.friend\"; Field \"name\" of required type \"String!\"`)
	refused(t, s, `query($u: NewUser!) { user(in: $u) }`, ``, `of required type \"NewUser!\" was not provided`)
	refused(t, s, `query($u: NewUser!) { user(in: $u) }`, `{"u":null}`, `must not be null`)
	refused(t, s, `query($u: NewUser!) { user(in: $u) }`, `[]`, `JSON object`)
}

// A fragment that two operations share has each one's own defaults.
func TestSharedFragment(t *testing.T) {
	t.Parallel()
	s := inputSchema(t)
	const doc = `query A($s: String = "a") { ...F } query B($s: String = "b") { ...F } fragment F on Query { str(s: $s) }`
	for _, name := range []string{"A", "B", "A"} {
		b, _ := s.Append(t.Context(), nil, &graphql.Request{Query: doc, OperationName: name})
		if want := `{"data":{"str":"` + strings.ToLower(name) + `"}}`; string(b) != want {
			t.Errorf("%s: %s", name, b)
		}
	}
}
