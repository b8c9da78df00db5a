package graphql_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"

	"github.com/anasamu/comm/graphql"
)

// The fields of a deferred fragment come after the rest.
func ExampleWithIncremental() {
	type report struct{ Title string }
	schema, err := graphql.NewSchema(
		graphql.WithIncremental(),
		graphql.SDL(`type Query { report: Report! } type Report { title: String! total: Int! }`),
		graphql.Get("Query.report", func(graphql.Root) report { return report{"May"} }),
		graphql.Resolve("Report.total", func(context.Context, report, graphql.NoArgs) (int, error) { return 42, nil }),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	stream, body, _ := schema.Subscribe(context.Background(), &graphql.Request{Query: `{ report { title ... @defer { total } } }`})
	if stream == nil { // refused
		fmt.Printf("%s\n", body)
		return
	}
	for response := range stream.Responses() {
		fmt.Printf("%s\n", response)
	}
	// Output:
	// {"data":{"report":{"title":"May"}},"pending":[{"id":"0","path":["report"]}],"hasNext":true}
	// {"incremental":[{"id":"0","data":{"total":42}}],"completed":[{"id":"0"}],"hasNext":false}
}

// A file is uploaded by a multipart request.
func ExampleWithUploads() {
	schema, err := graphql.NewSchema(
		graphql.SDL(`scalar Upload type Query { a: Int } type Mutation { store(file: Upload!): String! }`),
		graphql.Get("Query.a", func(graphql.Root) int { return 1 }),
		graphql.Resolve("Mutation.store", func(_ context.Context, _ graphql.Root, args struct{ File *graphql.Upload }) (string, error) {
			f, err := args.File.Open()
			if err != nil {
				return "", err
			}
			defer f.Close()
			content, err := io.ReadAll(f)
			return fmt.Sprintf("%s: %s", args.File.Filename, content), err
		}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	handler, err := graphql.NewHandler(schema, graphql.WithUploads(graphql.UploadLimits{FileBytes: 1 << 20}))
	if err != nil {
		fmt.Println(err)
		return
	}
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	_ = w.WriteField("operations", `{"query":"mutation($f: Upload!) { store(file: $f) }","variables":{"f":null}}`)
	_ = w.WriteField("map", `{"0":["variables.f"]}`)
	file, _ := w.CreateFormFile("0", "note.txt") // writing to memory cannot fail
	_, _ = io.WriteString(file, "hello")
	_ = w.Close()
	r := httptest.NewRequest(http.MethodPost, "/graphql", &body)
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Header.Set("GraphQL-Require-Preflight", "1")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, r)
	fmt.Println(answer.Body)
	// Output: {"data":{"store":"note.txt: hello"}}
}
