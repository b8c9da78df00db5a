package graphql_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"os"
	"strings"
	"testing"

	"github.com/anasamu/comm/graphql"
)

const uploadSDL = `scalar Upload
	input Doc { title: String file: Upload! }
	type Query { a: Int }
	type Mutation { one(file: Upload): String many(files: [Upload!]!): [String!]! doc(doc: Doc!): String two(a: Upload!, b: Upload!): String }`

func readUpload(u *graphql.Upload) (string, error) {
	if u == nil {
		return "nothing", nil
	}
	f, err := u.Open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil || int64(len(b)) != u.Size {
		return "", fmt.Errorf("%d of %d bytes: %w", len(b), u.Size, err)
	}
	return fmt.Sprintf("%s (%s): %.20s", u.Filename, u.ContentType, b), nil
}

func uploadSchema(t testing.TB, opts ...graphql.SchemaOption) *graphql.Schema {
	return schema(t, append([]graphql.SchemaOption{
		graphql.SDL(uploadSDL), graphql.WithUnmaskedErrors(), value("Query.a", 1),
		graphql.Resolve("Mutation.one", func(_ context.Context, _ graphql.Root, a struct{ File *graphql.Upload }) (string, error) {
			return readUpload(a.File)
		}),
		graphql.Resolve("Mutation.many", func(_ context.Context, _ graphql.Root, a struct{ Files []*graphql.Upload }) (list []string, err error) {
			for _, f := range a.Files {
				s, err := readUpload(f)
				if err != nil {
					return nil, err
				}
				list = append(list, s)
			}
			return list, nil
		}),
		graphql.Resolve("Mutation.doc", func(_ context.Context, _ graphql.Root, a struct {
			Doc struct {
				Title *string
				File  *graphql.Upload
			}
		},
		) (string, error) {
			return readUpload(a.Doc.File)
		}),
		graphql.Resolve("Mutation.two", func(_ context.Context, _ graphql.Root, a struct{ A, B *graphql.Upload }) (string, error) {
			x, err := readUpload(a.A)
			y, err2 := readUpload(a.B)
			return x + " and " + y, errors.Join(err, err2)
		}),
	}, opts...)...)
}

// form writes a multipart body of pairs of names and contents; what is neither operations nor map is a file.
func form(pairs ...string) (body, media string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		var part io.Writer
		var err error
		if name, field := strings.CutPrefix(pairs[i], "field "); field || name == "operations" || name == "map" {
			part, err = w.CreateFormField(name)
		} else {
			part, err = w.CreateFormFile(name, name+".txt")
		}
		if err == nil {
			_, err = io.WriteString(part, pairs[i+1])
		}
		if err != nil {
			panic(err)
		}
	}
	_ = w.Close()
	return b.String(), w.FormDataContentType()
}

const (
	opOne  = `{"query":"mutation($f: Upload) { one(file: $f) }","variables":{"f":null}}`
	mapOne = `{"0":["variables.f"]}`
)

// TestUploads are requests as the specification has them.
func TestUploads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h, err := graphql.NewHandler(uploadSchema(t), graphql.WithUploads(graphql.UploadLimits{Memory: 16, Dir: dir}))
	if err != nil {
		t.Fatal(err)
	}
	const many = `{"query":"mutation($f: [Upload!]!) { many(files: $f) }","variables":{"f":[null,null]}}`
	for name, c := range map[string]struct {
		pairs []string
		want  string
	}{
		"one":     {[]string{"operations", opOne, "map", mapOne, "0", "hello"}, `{"data":{"one":"0.txt (application/octet-stream): hello"}}`},
		"on disk": {[]string{"operations", opOne, "map", mapOne, "0", strings.Repeat("long ", 100)}, `{"data":{"one":"0.txt (application/octet-stream): long long long long "}}`},
		"list":    {[]string{"operations", many, "map", `{"a":["variables.f.0"],"b":["variables.f.1"]}`, "b", "B", "a", "A"}, `{"data":{"many":["a.txt (application/octet-stream): A","b.txt (application/octet-stream): B"]}}`},
		"nested": {
			[]string{"operations", `{"query":"mutation($d: Doc!) { doc(doc: $d) }","variables":{"d":{"file":null}}}`, "map", `{"x":["variables.d.file"]}`, "x", "X"},
			`{"data":{"doc":"x.txt (application/octet-stream): X"}}`,
		},
		"one file twice": {
			[]string{"operations", `{"query":"mutation($a: Upload!, $b: Upload!) { two(a: $a, b: $b) }","variables":{"a":null,"b":null}}`, "map", `{"x":["variables.a","variables.b"]}`, "x", "X"},
			`{"data":{"two":"x.txt (application/octet-stream): X and x.txt (application/octet-stream): X"}}`,
		},
		"batch": {
			[]string{"operations", "[" + opOne + "," + opOne + "]", "map", `{"0":["0.variables.f"],"1":["1.variables.f"]}`, "0", "zero", "1", "one"},
			`[{"data":{"one":"0.txt (application/octet-stream): zero"}},{"data":{"one":"1.txt (application/octet-stream): one"}}]`,
		},
		"no file": {[]string{"operations", opOne, "map", `{}`}, `{"data":{"one":"nothing"}}`},
		"empty":   {[]string{"operations", opOne, "map", mapOne, "0", ""}, `{"data":{"one":"0.txt (application/octet-stream): "}}`},
	} {
		body, media := form(c.pairs...)
		if got := send(h, "POST", "/", body, "Content-Type", media, "Apollo-Require-Preflight", "true"); got.status != 200 || got.body != c.want {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%d temporary files are left", len(left))
	}
}

// TestUploadsRefused are requests that are wrong, each with its status and with what is wrong.
func TestUploadsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h, err := graphql.NewHandler(uploadSchema(t), graphql.WithMaxBody(300), graphql.WithUploads(graphql.UploadLimits{
		Files: 2, FileBytes: 100, TotalBytes: 2000, MapEntries: 3, Memory: 10, Dir: dir,
	}))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		status int
		text   string
		pairs  []string
	}{
		"no operations":      {400, `The first field must be \"operations\", not \"map\".`, []string{"map", mapOne, "operations", opOne}},
		"no map":             {400, `The second field must be \"map\", not \"0\".`, []string{"operations", opOne, "0", "x"}},
		"nothing":            {400, `The field \"operations\" is missing.`, nil},
		"map missing":        {400, `The field \"map\" is missing.`, []string{"operations", opOne}},
		"operations no JSON": {400, `The field \"operations\" is not JSON.`, []string{"operations", "{", "map", mapOne}},
		"operations empty":   {400, `The field \"operations\" is empty.`, []string{"operations", "", "map", mapOne}},
		"map no JSON":        {400, `The field \"map\" must be a JSON object`, []string{"operations", opOne, "map", "["}},
		"map of strings":     {400, `The field \"map\" must be a JSON object`, []string{"operations", opOne, "map", `{"0":"variables.f"}`}},
		"map null":           {400, `The field \"map\" must be a JSON object`, []string{"operations", opOne, "map", `null`}},
		"no place":           {400, `no place for the file \"0\"`, []string{"operations", opOne, "map", `{"0":[]}`}},
		"unknown place":      {400, `not in the operations: there is no \"g\"`, []string{"operations", opOne, "map", `{"0":["variables.g"]}`}},
		"not in variables":   {400, `all are in the variables`, []string{"operations", opOne, "map", `{"0":["query"]}`}},
		"not null":           {400, `what is there is not null`, []string{"operations", `{"query":"x","variables":{"f":1}}`, "map", mapOne}},
		"below a string":     {400, `neither an object nor a list`, []string{"operations", `{"query":"x","variables":{"f":"s"}}`, "map", `{"0":["variables.f.x"]}`}},
		"beyond the list":    {400, `a list of 1 elements has no \"1\"`, []string{"operations", `{"query":"x","variables":{"f":[null]}}`, "map", `{"0":["variables.f.1"]}`}},
		"place twice":        {400, `the place \"variables.f\" twice`, []string{"operations", opOne, "map", `{"0":["variables.f"],"1":["variables.f"]}`}},
		"file missing":       {400, `The file \"0\" of the map is missing.`, []string{"operations", opOne, "map", mapOne}},
		"file unused":        {400, `The file \"1\" is not in the map.`, []string{"operations", opOne, "map", mapOne, "0", "x", "1", "y"}},
		"file twice":         {400, `The file \"0\" is there twice.`, []string{"operations", opOne, "map", mapOne, "0", "x", "0", "y"}},
		"no file":            {400, `The field \"0\" is no file: it has no filename.`, []string{"operations", opOne, "map", mapOne, "field 0", "x"}},
		"file too large":     {413, `The file \"0\" is larger than 100 bytes.`, []string{"operations", opOne, "map", mapOne, "0", strings.Repeat("x", 101)}},
		"body too large":     {413, `The body is larger than 2000 bytes.`, []string{"operations", opOne, "map", mapOne, "0", "x", strings.Repeat("y", 3000), ""}},
		"too many files":     {413, `The map has 3 files; 2 are allowed.`, []string{"operations", opOne, "map", `{"0":["a"],"1":["b"],"2":["c"]}`}},
		"too many places":    {413, `more than 3 places`, []string{"operations", opOne, "map", `{"0":["a","b","c","d"]}`}},
		"operations large":   {413, `The field \"operations\" is larger than 300 bytes.`, []string{"operations", strings.Repeat(" ", 301), "map", mapOne}},
	} {
		body, media := form(c.pairs...)
		got := send(h, "POST", "/", body, "Content-Type", media, "GraphQL-Require-Preflight", "1")
		if got.status != c.status || !strings.Contains(got.body, c.text) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	body, media := form("operations", opOne, "map", mapOne, "0", strings.Repeat("x", 50))
	if got := send(h, "POST", "/", body, "Content-Type", media); got.status != 403 || !strings.Contains(got.body, "GraphQL-Require-Preflight") {
		t.Error(got)
	}
	if got := send(h, "POST", "/", body[:len(body)-30], "Content-Type", media, "GraphQL-Require-Preflight", "1"); got.status != 400 || !strings.Contains(got.body, "The form cannot be read") {
		t.Error(got)
	}
	if got := send(h, "POST", "/", body, "Content-Type", "multipart/form-data", "GraphQL-Require-Preflight", "1"); got.status != 400 {
		t.Error(got)
	}
	if got := send(handler(t), "POST", "/", body, "Content-Type", media, "GraphQL-Require-Preflight", "1"); got.status != 415 {
		t.Error(got)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%d temporary files are left", len(left))
	}
	for _, l := range []graphql.UploadLimits{{Files: -1}, {FileBytes: -1}, {TotalBytes: -1}, {MapEntries: -1}, {Memory: -1}} {
		if _, err := graphql.NewHandler(uploadSchema(t), graphql.WithUploads(l)); err == nil {
			t.Errorf("%+v is accepted", l)
		}
	}
}

// TestUploadScalar: an Upload is nothing but a file of the request, and nothing once that is answered.
func TestUploadScalar(t *testing.T) {
	t.Parallel()
	s := uploadSchema(t)
	refused(t, s, `mutation($f: Upload) { one(file: $f) }`, `{"f":"../etc/passwd"}`, "Upload can only be a file of a multipart request.")
	if got := ask(t, s, `mutation { one(file: "x") }`); !strings.Contains(got, "Upload can only be a file of a multipart request.") {
		t.Error(got)
	}
	var kept *graphql.Upload
	s = schema(t, graphql.SDL(`scalar Upload type Query { a: Int } type Mutation { keep(f: Upload!): Int }`), value("Query.a", 1),
		graphql.Resolve("Mutation.keep", func(_ context.Context, _ graphql.Root, a struct{ F *graphql.Upload }) (int, error) {
			kept = a.F
			return int(a.F.Size), nil
		}))
	h, err := graphql.NewHandler(s, graphql.WithUploads(graphql.UploadLimits{}))
	if err != nil {
		t.Fatal(err)
	}
	body, media := form("operations", `{"query":"mutation($f: Upload!) { keep(f: $f) }","variables":{"f":null}}`, "map", mapOne, "0", "abc")
	if got := send(h, "POST", "/", body, "Content-Type", media, "GraphQL-Require-Preflight", "1"); got.body != `{"data":{"keep":3}}` {
		t.Error(got)
	}
	if _, err := kept.Open(); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	req := &graphql.Request{Query: `mutation($f: Upload!) { keep(f: $f) }`, Variables: []byte(`{"f":1}`), Files: map[string]*graphql.Upload{"f": graphql.NewUpload("f", "", nil)}}
	if b, out := s.Append(t.Context(), nil, req); !out.RequestError {
		t.Errorf("%s", b)
	}
}

// FuzzUploadMap: whatever the operations and the map are, the answer is JSON, and no file is left.
func FuzzUploadMap(f *testing.F) {
	dir := f.TempDir()
	h, err := graphql.NewHandler(uploadSchema(f), graphql.WithUploads(graphql.UploadLimits{Memory: 4, Dir: dir}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(opOne, mapOne, "0", "hello")
	f.Add("["+opOne+"]", `{"0":["0.variables.f"]}`, "0", "hi")
	f.Add(`{"variables":{"f":[null]}}`, `{"a":["variables.f.0","variables.f.00"]}`, "a", "")
	f.Add(`[]`, `{"a":["-1.variables.f",""]}`, "a", "")
	f.Add(`{"variables":{"variables":{"":null}}}`, `{"":["variables.variables."]}`, "", "x")
	f.Fuzz(func(t *testing.T, operations, places, name, content string) {
		body, media := form("operations", operations, "map", places, name, content)
		got := send(h, "POST", "/", body, "Content-Type", media, "GraphQL-Require-Preflight", "1")
		if !json.Valid([]byte(got.body)) {
			t.Errorf("%d %s", got.status, got.body)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%d temporary files are left", len(left))
		}
	})
}
