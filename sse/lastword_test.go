package sse_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/sse"
)

// forgetful is a server whose stream stands, and that answers what a client sends as if it did not know it.
type forgetful struct{ stream io.Reader }

func (s forgetful) RoundTrip(r *http.Request) (*http.Response, error) {
	res := &http.Response{StatusCode: http.StatusNotFound, Header: make(http.Header), Body: http.NoBody, Request: r}
	if r.Header.Get("Accept") == sse.ContentType {
		res.StatusCode, res.Body = http.StatusOK, io.NopCloser(s.stream)
		res.Header.Set("Content-Type", sse.ContentType)
	}
	return res, nil
}

// A client whose message is refused because its connection has ended hears the stream out, which says why: a moment
// later it would be lost, and come again at once where it must stay away.
func TestStreamHasTheLastWord(t *testing.T) {
	t.Parallel()
	for name, closing := range map[string]string{"closing": `data: {"op":"closing","code":"rate_limited"}` + "\n\n", "silent": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stream, server := io.Pipe()
				defer server.Close()
				d := sse.Dialer("http://x/events", sse.WithHTTPClient(&http.Client{Transport: forgetful{stream}}))
				c, err := d.Dial(t.Context(), &comm.Frame{Op: comm.OpHello, Hello: &comm.Hello{Version: comm.ProtocolVersion}})
				if err != nil {
					t.Fatal(err)
				}
				go io.Copy(server, strings.NewReader(`data: {"op":"welcome","version":1,"conn":"c","session":"s","node":"n"}`+"\n\n"))
				if _, err := c.Receive(t.Context()); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if err := c.Send(t.Context(), &comm.Frame{Op: comm.OpPing}); err == nil {
					t.Error("taken")
				}
				go io.Copy(server, strings.NewReader(closing))
				context.AfterFunc(sse.CarrierContext(c), func() { _ = server.Close() })
				f, err := c.Receive(t.Context())
				r, lost := errors.AsType[comm.CloseReason](err)
				switch {
				case closing != "" && (err != nil || f.Op != comm.OpClosing):
					t.Errorf("got %v, %v", f, err)
				case closing == "" && (!lost || r.Kind != comm.ReasonLost || time.Since(began) != sse.LastWord):
					t.Errorf("got %v, %v after %v", f, err, time.Since(began))
				}
				_ = c.Close(t.Context())
			})
		})
	}
}
