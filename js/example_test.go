package commjs_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	commjs "github.com/anasamu/comm/js"
)

// The module is served under a path of the service's own.
func ExampleHandler() {
	mux := http.NewServeMux()
	mux.Handle("/js/", http.StripPrefix("/js", commjs.Handler()))
	server := httptest.NewServer(mux)
	defer server.Close()

	res, err := http.Get(server.URL + "/js/comm.js")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	fmt.Println(res.StatusCode, res.Header.Get("Content-Type"), err)
	// Output: 200 text/javascript; charset=utf-8 <nil>
}
