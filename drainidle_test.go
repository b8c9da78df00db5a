package comm_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
)

// A drain does not wait for connections that HTTP/1.1 clients keep and have not used lately.
func TestDrainEndsIdleHTTPConnectionsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newManager(t, comm.WithProvider(commhttp.New(commhttp.Handle("GET /hi", text("hi")))))
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{DialContext: m.DialContext}
		defer transport.CloseIdleConnections()
		for range 2 { // the second on the connection of the first
			resp, err := (&http.Client{Transport: transport}).Get("http://gateway/hi")
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		time.Sleep(3 * time.Second)
		start := time.Now()
		if err := m.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("the drain took %v", took)
		}
	})
}
