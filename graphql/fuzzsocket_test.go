package graphql_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm/graphql"
	"github.com/anasamu/comm/ws"
)

// FuzzSocket says any messages, one a line, in either subprotocol: the server answers with JSON, or closes with a
// code of the protocol, and lives.
func FuzzSocket(f *testing.F) {
	for _, seed := range []string{
		`{"type":"connection_init","payload":{"token":"x","headers":{"Authorization":"Bearer y"}}}` + "\n" + `{"id":"1","type":"subscribe","payload":{"query":"{ a }","variables":{},"extensions":{"persistedQuery":null}}}`,
		`{"type":"connection_init"}` + "\n" + `{"id":"1","type":"start","payload":{"query":"subscription { count(to: 3) }"}}` + "\n" + `{"id":"1","type":"stop"}`,
		`{"type":"connection_init"}` + "\n" + `{"id":"1","type":"subscribe","payload":{"query":"subscription { forever }"}}` + "\n" + `{"id":"1","type":"complete"}` + "\n" + `{"type":"ping","payload":[1]}`,
		`{"id":"1","type":"subscribe"}`, `{"type":"connection_terminate"}`, `[]`, `{"type":"\u0000"}`, "\xff",
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	n := new(newsroom)
	h, err := graphql.NewHandler(n.schema(f), graphql.WithInitTimeout(100*time.Millisecond))
	if err != nil {
		f.Fatal(err)
	}
	srv := httptest.NewServer(h)
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := h.Shutdown(ctx); err != nil {
			f.Error(err)
		}
		srv.Close()
	})
	codes := []ws.StatusCode{1000, 1007, 4400, 4401, 4408, 4409, 4429}
	f.Fuzz(func(t *testing.T, said string, old bool) {
		protocol, alive := newProtocol, `{"type":"ping","payload":"alive"}`
		if old {
			protocol, alive = oldProtocol, `{"id":"alive","type":"x"}`
		}
		c := dialWS(t, srv.URL, nil, protocol)
		defer c.CloseNow()
		for line := range strings.SplitSeq(said, "\n") {
			c.say(line)
		}
		c.say(alive)
		for {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			_, b, err := c.Read(ctx, nil)
			cancel()
			if ce, ok := errors.AsType[*ws.CloseError](err); ok {
				if !slices.Contains(codes, ce.Code) {
					t.Fatal(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !json.Valid(b) {
				t.Fatalf("%q", b)
			}
			if bytes.Contains(b, []byte("alive")) {
				return
			}
		}
	})
}
