package graphql_test

// What graphql-js 17.1.0 answers to each request on the schema of incrementalSchema, keys sorted and locations
// left out.

type incrementalCase struct {
	query, variables string
	want             []string
}

var incrementalCases = []incrementalCase{
	{`{ hero { id ... @defer { name } } }`, ``, []string{
		`{"data":{"hero":{"id":"1"}},"hasNext":true,"pending":[{"id":"0","path":["hero"]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"data":{"name":"Luke"},"id":"0"}]}`,
	}},
	{`{ hero { id ... @defer(if: false) { name } } }`, ``, []string{
		`{"data":{"hero":{"id":"1","name":"Luke"}}}`,
	}},
	{`query($on: Boolean) { hero { id ... @defer(if: $on) { name } } }`, `{"on":false}`, []string{
		`{"data":{"hero":{"id":"1","name":"Luke"}}}`,
	}},
	{`query($on: Boolean) { hero { id ... @defer(if: $on) { name } } }`, `{}`, []string{
		`{"data":{"hero":{"id":"1"}},"hasNext":true,"pending":[{"id":"0","path":["hero"]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"data":{"name":"Luke"},"id":"0"}]}`,
	}},
	{`query($on: Boolean!) { hero { id ...F @defer(if: $on, label: "L") } } fragment F on Hero { name }`, `{"on":true}`, []string{
		`{"data":{"hero":{"id":"1"}},"hasNext":true,"pending":[{"id":"0","label":"L","path":["hero"]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"data":{"name":"Luke"},"id":"0"}]}`,
	}},
	{`{ ... @defer(label: "root") { hero { id } } }`, ``, []string{
		`{"data":{},"hasNext":true,"pending":[{"id":"0","label":"root","path":[]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"data":{"hero":{"id":"1"}},"id":"0"}]}`,
	}},
	{`{ hero { id ...F @defer } } fragment F on Hero { id name friends { name } }`, ``, []string{
		`{"data":{"hero":{"id":"1"}},"hasNext":true,"pending":[{"id":"0","path":["hero"]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"data":{"friends":[{"name":"Han"},{"name":"Leia"},{"name":"C-3PO"}],"name":"Luke"},"id":"0"}]}`,
	}},
	{`{ hero { ...Top @defer(label: "DeferTop") } } fragment Top on Hero { id ...Nest @defer(label: "DeferNested") } fragment Nest on Hero { friends { name } }`, ``, []string{
		`{"data":{"hero":{}},"hasNext":true,"pending":[{"id":"0","label":"DeferTop","path":["hero"]}]}`,
		`{"completed":[{"id":"0"},{"id":"1"}],"hasNext":false,"incremental":[{"data":{"id":"1"},"id":"0"},{"data":{"friends":[{"name":"Han"},{"name":"Leia"},{"name":"C-3PO"}]},"id":"1"}],"pending":[{"id":"1","label":"DeferNested","path":["hero"]}]}`,
	}},
	{`{ hero { ...Top @defer(label: "DeferTop") ...Top } } fragment Top on Hero { name }`, ``, []string{
		`{"data":{"hero":{"name":"Luke"}}}`,
	}},
	{`{ hero { ...Top ...Top @defer(label: "DeferTop") } } fragment Top on Hero { name }`, ``, []string{
		`{"data":{"hero":{"name":"Luke"}}}`,
	}},
	{`{ hero { friends { ... @defer { name } } } }`, ``, []string{
		`{"data":{"hero":{"friends":[{},{},{}]}},"hasNext":true,"pending":[{"id":"0","path":["hero","friends",0]},{"id":"1","path":["hero","friends",1]},{"id":"2","path":["hero","friends",2]}]}`,
		`{"completed":[{"id":"0"},{"id":"1"},{"id":"2"}],"hasNext":false,"incremental":[{"data":{"name":"Han"},"id":"0"},{"data":{"name":"Leia"},"id":"1"},{"data":{"name":"C-3PO"},"id":"2"}]}`,
	}},
	{`{ hero { friends { id ... @defer { name must } } } }`, ``, []string{
		`{"data":{"hero":{"friends":[{"id":"2"},{"id":"3"},{"id":"4"}]}},"hasNext":true,"pending":[{"id":"0","path":["hero","friends",0]},{"id":"1","path":["hero","friends",1]},{"id":"2","path":["hero","friends",2]}]}`,
		`{"completed":[{"id":"0"},{"id":"1"},{"errors":[{"message":"Cannot return null for non-nullable field Hero.must.","path":["hero","friends",2,"must"]}],"id":"2"}],"hasNext":false,"incremental":[{"data":{"must":"han","name":"Han"},"id":"0"},{"data":{"must":"leia","name":"Leia"},"id":"1"}]}`,
	}},
	{`{ hero { friends { id } ... @defer { friends { id name } } } }`, ``, []string{
		`{"data":{"hero":{"friends":[{"id":"2"},{"id":"3"},{"id":"4"}]}},"hasNext":true,"pending":[{"id":"0","path":["hero"]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"data":{"name":"Han"},"id":"0","subPath":["friends",0]},{"data":{"name":"Leia"},"id":"0","subPath":["friends",1]},{"data":{"name":"C-3PO"},"id":"0","subPath":["friends",2]}]}`,
	}},
	{`{ ... @defer(label: "A") { nest { b { c { d } } } } ... @defer(label: "B") { nest { b { c { d } } } } }`, ``, []string{
		`{"data":{},"hasNext":true,"pending":[{"id":"0","label":"A","path":[]},{"id":"1","label":"B","path":[]}]}`,
		`{"completed":[{"id":"0"},{"id":"1"}],"hasNext":false,"incremental":[{"data":{"nest":{"b":{"c":{"d":"d"}}}},"id":"0"}]}`,
	}},
	{`{ nest { b { c { d } } ... @defer(label: "X") { b { c { e } } } } ... @defer(label: "Y") { nest { b { c { e } b } } } }`, ``, []string{
		`{"data":{"nest":{"b":{"c":{"d":"d"}}}},"hasNext":true,"pending":[{"id":"0","label":"X","path":["nest"]},{"id":"1","label":"Y","path":[]}]}`,
		`{"completed":[{"id":"0"},{"id":"1"}],"hasNext":false,"incremental":[{"data":{"e":"e"},"id":"0","subPath":["b","c"]},{"data":{"b":"b"},"id":"1","subPath":["nest","b"]}]}`,
	}},
	{`{ nest { b { ... @defer(label: "A") { c { d } } ... @defer(label: "B") { c { d e } } } } }`, ``, []string{
		`{"data":{"nest":{"b":{}}},"hasNext":true,"pending":[{"id":"0","label":"A","path":["nest","b"]},{"id":"1","label":"B","path":["nest","b"]}]}`,
		`{"completed":[{"id":"0"},{"id":"1"}],"hasNext":false,"incremental":[{"data":{"c":{"d":"d"}},"id":"0"},{"data":{"e":"e"},"id":"1","subPath":["c"]}]}`,
	}},
	{`{ ... @defer(label: "red") { nest { b { c { nothing } } } } ... @defer(label: "blue") { nest { b { c { d } } a } } }`, ``, []string{
		`{"data":{},"hasNext":true,"pending":[{"id":"0","label":"red","path":[]},{"id":"1","label":"blue","path":[]}]}`,
		`{"completed":[{"errors":[{"message":"Cannot return null for non-nullable field C.nothing.","path":["nest","b","c","nothing"]}],"id":"0"},{"id":"1"}],"hasNext":false,"incremental":[{"data":{"nest":{"b":{"c":{}}}},"id":"1"},{"data":{"d":"d"},"id":"1","subPath":["nest","b","c"]},{"data":{"a":"a"},"id":"1","subPath":["nest"]}]}`,
	}},
	{`{ hero { id ... @defer { fails name } } }`, ``, []string{
		`{"data":{"hero":{"id":"1"}},"hasNext":true,"pending":[{"id":"0","path":["hero"]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"data":{"fails":null,"name":"Luke"},"errors":[{"message":"bad","path":["hero","fails"]}],"id":"0"}]}`,
	}},
	{`{ hero { id ... @defer { slowMust name } } }`, ``, []string{
		`{"data":{"hero":{"id":"1"}},"hasNext":true,"pending":[{"id":"0","path":["hero"]}]}`,
		`{"completed":[{"errors":[{"message":"bad must","path":["hero","slowMust"]}],"id":"0"}],"hasNext":false}`,
	}},
	{`{ hero { id slowMust ... @defer { name } } }`, ``, []string{
		`{"data":{"hero":null},"errors":[{"message":"bad must","path":["hero","slowMust"]}]}`,
	}},
	{`{ list { id ... @defer { stock { id ... @defer { name } } } } }`, ``, []string{
		`{"data":{"list":[{"id":"1"},{"id":"2"},{"id":"3"}]},"hasNext":true,"pending":[{"id":"0","path":["list",0]},{"id":"1","path":["list",1]},{"id":"2","path":["list",2]}]}`,
		`{"completed":[{"id":"0"},{"id":"1"},{"id":"2"},{"id":"3"},{"id":"4"},{"id":"5"}],"hasNext":false,"incremental":[{"data":{"stock":[{"id":"s1"}]},"id":"0"},{"data":{"stock":[{"id":"s2"}]},"id":"1"},{"data":{"stock":[{"id":"s3"}]},"id":"2"},{"data":{"name":"stock"},"id":"3"},{"data":{"name":"stock"},"id":"4"},{"data":{"name":"stock"},"id":"5"}],"pending":[{"id":"3","path":["list",0,"stock",0]},{"id":"4","path":["list",1,"stock",0]},{"id":"5","path":["list",2,"stock",0]}]}`,
	}},
	{`{ names @stream(initialCount: 1) }`, ``, []string{
		`{"data":{"names":["apple"]},"hasNext":true,"pending":[{"id":"0","path":["names"]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"id":"0","items":["banana","coconut"]}]}`,
	}},
	{`{ names @stream }`, ``, []string{
		`{"data":{"names":[]},"hasNext":true,"pending":[{"id":"0","path":["names"]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"id":"0","items":["apple","banana","coconut"]}]}`,
	}},
	{`{ names @stream(initialCount: 10) }`, ``, []string{
		`{"data":{"names":["apple","banana","coconut"]}}`,
	}},
	{`query($n: Int) { names @stream(initialCount: $n, label: "s") }`, `{"n":2}`, []string{
		`{"data":{"names":["apple","banana"]},"hasNext":true,"pending":[{"id":"0","label":"s","path":["names"]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"id":"0","items":["coconut"]}]}`,
	}},
	{`query($n: Int) { names @stream(initialCount: $n) }`, `{}`, []string{
		`{"data":{"names":[]},"hasNext":true,"pending":[{"id":"0","path":["names"]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"id":"0","items":["apple","banana","coconut"]}]}`,
	}},
	{`{ names @stream(initialCount: 1, if: false) }`, ``, []string{
		`{"data":{"names":["apple","banana","coconut"]}}`,
	}},
	{`{ strict @stream(initialCount: 1) }`, ``, []string{
		`{"data":{"strict":["apple"]},"hasNext":true,"pending":[{"id":"0","path":["strict"]}]}`,
		`{"completed":[{"errors":[{"message":"Cannot return null for non-nullable field Query.strict.","path":["strict",1]}],"id":"0"}],"hasNext":false}`,
	}},
	{`{ strict @stream(initialCount: 2) }`, ``, []string{
		`{"data":{"strict":null},"errors":[{"message":"Cannot return null for non-nullable field Query.strict.","path":["strict",1]}]}`,
	}},
	{`{ matrix @stream(initialCount: 1) }`, ``, []string{
		`{"data":{"matrix":[["a","b"]]},"hasNext":true,"pending":[{"id":"0","path":["matrix"]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"id":"0","items":[["c"],["d"]]}]}`,
	}},
	{`{ hero { friends @stream(initialCount: 1) { id name } } }`, ``, []string{
		`{"data":{"hero":{"friends":[{"id":"2","name":"Han"}]}},"hasNext":true,"pending":[{"id":"0","path":["hero","friends"]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"id":"0","items":[{"id":"3","name":"Leia"},{"id":"4","name":"C-3PO"}]}]}`,
	}},
	{`{ hero { friends @stream { id must } } }`, ``, []string{
		`{"data":{"hero":{"friends":[]}},"hasNext":true,"pending":[{"id":"0","path":["hero","friends"]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"errors":[{"message":"Cannot return null for non-nullable field Hero.must.","path":["hero","friends",2,"must"]}],"id":"0","items":[{"id":"2","must":"han"},{"id":"3","must":"leia"},null]}]}`,
	}},
	{`{ bad @stream(initialCount: 1) { id } }`, ``, []string{
		`{"data":{"bad":[{"id":"1"}]},"hasNext":true,"pending":[{"id":"0","path":["bad"]}]}`,
		`{"completed":[{"errors":[{"message":"Cannot return null for non-nullable field Query.bad.","path":["bad",1]}],"id":"0"}],"hasNext":false}`,
	}},
	{`mutation { change { id ... @defer { name } } }`, ``, []string{
		`{"data":{"change":{"id":"1"}},"hasNext":true,"pending":[{"id":"0","path":["change"]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"data":{"name":"Luke"},"id":"0"}]}`,
	}},
	{`{ hero { id best { id } ... @defer(label: "one") { best { name } ... @defer(label: "two") { best { name must } name } } } }`, ``, []string{
		`{"data":{"hero":{"best":{"id":"5"},"id":"1"}},"hasNext":true,"pending":[{"id":"0","label":"one","path":["hero"]}]}`,
		`{"completed":[{"id":"0"},{"id":"1"}],"hasNext":false,"incremental":[{"data":{"name":"Wedge"},"id":"0","subPath":["best"]},{"data":{"must":"x"},"id":"1","subPath":["best"]},{"data":{"name":"Luke"},"id":"1"}],"pending":[{"id":"1","label":"two","path":["hero"]}]}`,
	}},
	{`{ hero { id ... @defer { ... @defer { name } } } }`, ``, []string{
		`{"data":{"hero":{"id":"1"}},"hasNext":true,"pending":[{"id":"0","path":["hero"]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"data":{"name":"Luke"},"id":"0"}]}`,
	}},
	{`{ hero { ... @defer { ... @defer { name } must } } }`, ``, []string{
		`{"data":{"hero":{}},"hasNext":true,"pending":[{"id":"0","path":["hero"]}]}`,
		`{"completed":[{"id":"0"},{"id":"1"}],"hasNext":false,"incremental":[{"data":{"must":"yes"},"id":"0"},{"data":{"name":"Luke"},"id":"1"}],"pending":[{"id":"1","path":["hero"]}]}`,
	}},
	{`{ hero { ... @defer(label: "1") { best { ... @defer(label: "2") { name } } } best { id } } }`, ``, []string{
		`{"data":{"hero":{"best":{"id":"5"}}},"hasNext":true,"pending":[{"id":"0","label":"2","path":["hero","best"]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"data":{"name":"Wedge"},"id":"0"}]}`,
	}},
	{`{ hero { id ... @defer(label: "a") { __typename } } }`, ``, []string{
		`{"data":{"hero":{"id":"1"}},"hasNext":true,"pending":[{"id":"0","label":"a","path":["hero"]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"data":{"__typename":"Hero"},"id":"0"}]}`,
	}},
	{`{ hero @skip(if: true) { id ... @defer { name } } names }`, ``, []string{
		`{"data":{"names":["apple","banana","coconut"]}}`,
	}},
	{`{ hero { ... @defer @include(if: false) { name } id } }`, ``, []string{
		`{"data":{"hero":{"id":"1"}}}`,
	}},
	{`{ nest { ... @defer(label: "A") { b { c { d ... @defer(label: "B") { e } } } } ... @defer(label: "C") { b { c { e f } } } } }`, ``, []string{
		`{"data":{"nest":{}},"hasNext":true,"pending":[{"id":"0","label":"A","path":["nest"]},{"id":"1","label":"C","path":["nest"]}]}`,
		`{"completed":[{"id":"0"},{"id":"2"},{"id":"1"}],"hasNext":false,"incremental":[{"data":{"b":{"c":{}}},"id":"0"},{"data":{"d":"d"},"id":"0","subPath":["b","c"]},{"data":{"e":"e"},"id":"2"},{"data":{"f":"f"},"id":"1","subPath":["b","c"]}],"pending":[{"id":"2","label":"B","path":["nest","b","c"]}]}`,
	}},
	{`{ hero { ...F @defer ...F @defer(label: "x") } } fragment F on Hero { name best { id } }`, ``, []string{
		`{"data":{"hero":{}},"hasNext":true,"pending":[{"id":"0","path":["hero"]},{"id":"1","label":"x","path":["hero"]}]}`,
		`{"completed":[{"id":"0"},{"id":"1"}],"hasNext":false,"incremental":[{"data":{"best":{"id":"5"},"name":"Luke"},"id":"0"}]}`,
	}},
	{`{ hero { best { ... @defer { name friends { id } } } friends { ... @defer { name best { id } } } } }`, ``, []string{
		`{"data":{"hero":{"best":{},"friends":[{},{},{}]}},"hasNext":true,"pending":[{"id":"0","path":["hero","best"]},{"id":"1","path":["hero","friends",0]},{"id":"2","path":["hero","friends",1]},{"id":"3","path":["hero","friends",2]}]}`,
		`{"completed":[{"id":"0"},{"id":"1"},{"id":"2"},{"id":"3"}],"hasNext":false,"incremental":[{"data":{"friends":null,"name":"Wedge"},"id":"0"},{"data":{"best":null,"name":"Han"},"id":"1"},{"data":{"best":null,"name":"Leia"},"id":"2"},{"data":{"best":null,"name":"C-3PO"},"id":"3"}]}`,
	}},
	{`{ hero { friends { must ... @defer { name } } } }`, ``, []string{
		`{"data":{"hero":{"friends":[{"must":"han"},{"must":"leia"},null]}},"errors":[{"message":"Cannot return null for non-nullable field Hero.must.","path":["hero","friends",2,"must"]}],"hasNext":true,"pending":[{"id":"0","path":["hero","friends",0]},{"id":"1","path":["hero","friends",1]}]}`,
		`{"completed":[{"id":"0"},{"id":"1"}],"hasNext":false,"incremental":[{"data":{"name":"Han"},"id":"0"},{"data":{"name":"Leia"},"id":"1"}]}`,
	}},
	{`{ hero { ... @defer(label: "A") { friends { slowMust id } } } }`, ``, []string{
		`{"data":{"hero":{}},"hasNext":true,"pending":[{"id":"0","label":"A","path":["hero"]}]}`,
		`{"completed":[{"id":"0"}],"hasNext":false,"incremental":[{"data":{"friends":[null,null,null]},"errors":[{"message":"bad must","path":["hero","friends",0,"slowMust"]},{"message":"bad must","path":["hero","friends",1,"slowMust"]},{"message":"bad must","path":["hero","friends",2,"slowMust"]}],"id":"0"}]}`,
	}},
	{`{ list @stream { slowMust } }`, ``, []string{
		`{"data":{"list":[]},"hasNext":true,"pending":[{"id":"0","path":["list"]}]}`,
		`{"completed":[{"errors":[{"message":"bad must","path":["list",0,"slowMust"]}],"id":"0"}],"hasNext":false}`,
	}},
	{`{ hero { ... @defer(label: "A") { slowMust ... @defer(label: "B") { name } } } }`, ``, []string{
		`{"data":{"hero":{}},"hasNext":true,"pending":[{"id":"0","label":"A","path":["hero"]}]}`,
		`{"completed":[{"errors":[{"message":"bad must","path":["hero","slowMust"]}],"id":"0"}],"hasNext":false}`,
	}},
	{`{ nest { b { c { d ... @defer(label: "A") { ...F ... @defer(label: "B") { e ...F } } } } } } fragment F on C { ... @defer(label: "X") { nothing } }`, ``, []string{
		`{"data":{"nest":{"b":{"c":{"d":"d"}}}},"hasNext":true,"pending":[{"id":"0","label":"X","path":["nest","b","c"]},{"id":"1","label":"B","path":["nest","b","c"]}]}`,
		`{"completed":[{"errors":[{"message":"Cannot return null for non-nullable field C.nothing.","path":["nest","b","c","nothing"]}],"id":"0"},{"id":"1"},{"errors":[{"message":"Cannot return null for non-nullable field C.nothing.","path":["nest","b","c","nothing"]}],"id":"2"}],"hasNext":false,"incremental":[{"data":{"e":"e"},"id":"1"}],"pending":[{"id":"2","label":"X","path":["nest","b","c"]}]}`,
	}},
	{`subscription { heroes { id ... @defer { name } } }`, ``, []string{
		"{\"errors\":[{\"message\":\"Defer directive not supported on subscription operations. Disable `@defer` by setting the `if` argument to `false`.\"}]}",
	}},
	{`mutation { ... @defer { change { id } } }`, ``, []string{
		`{"errors":[{"message":"Defer directive cannot be used on root mutation type \"Mutation\"."}]}`,
	}},
	{`{ hero { friends @stream { id } ...F } } fragment F on Hero { friends { name } }`, ``, []string{
		`{"errors":[{"message":"Fields \"friends\" conflict because they have overlapping stream directives. Use different aliases on the fields to fetch both if this was intentional."}]}`,
	}},
	{`{ hero { name @stream } }`, ``, []string{
		`{"errors":[{"message":"Directive \"@stream\" cannot be used on non-list field \"Hero.name\"."}]}`,
	}},
	{`query($l: String) { hero { ... @defer(label: $l) { name } } }`, ``, []string{
		`{"errors":[{"message":"Argument \"@defer(label:)\" must be a static string."}]}`,
	}},
	{`{ hero { ... @defer(label: "x") { name } ... @defer(label: "x") { id } } }`, ``, []string{
		`{"errors":[{"message":"Value for arguments \"defer(label:)\" and \"stream(label:)\" must be unique across all Defer/Stream directive usages."}]}`,
	}},
}
