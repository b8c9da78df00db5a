package graphql_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
)

// singleStream is a client of the single connection mode.
type singleStream struct {
	*openEvents
	g     *gateway
	token string
}

// inMemoryClient reaches a gateway in memory.
func (g *gateway) inMemoryClient() *gateway {
	tr := &http.Transport{DialContext: g.DialContext}
	g.t.Cleanup(tr.CloseIdleConnections)
	g.client = &http.Client{Transport: tr}
	return g
}

// reserve opens a stream that was reserved by a request with a body, as EventSource would: by the token in the URL.
func (g *gateway) reserve(url, body string) *singleStream {
	g.t.Helper()
	r := request(g.t, g.client, "PUT", url, body)
	if r.status != http.StatusCreated {
		g.t.Fatal(r)
	}
	return &singleStream{openStream(g.t, g.client, "GET", g.url+"?token="+r.body, ""), g, r.body}
}

// begin begins an operation on the stream.
func (s *singleStream) begin(id, query string) {
	s.t.Helper()
	b, err := json.Marshal(map[string]any{"query": query, "extensions": map[string]any{"operationId": id}})
	if err != nil {
		s.t.Fatal(err)
	}
	if r := request(s.t, s.g.client, "POST", s.g.url, string(b), "X-GraphQL-Event-Stream-Token", s.token); r.status != http.StatusAccepted {
		s.t.Fatal(r)
	}
}

// event is the next event of the operation "e".
func (s *singleStream) event(typename string) hubEvent {
	s.t.Helper()
	return eventIn(s.t, strings.TrimPrefix(s.next(), "next "), typename)
}

func helloBody(hello string) string { return `{"extensions":{"comm":` + hello + `}}` }

// A client of the single connection mode says hello when it reserves its stream, and goes on where its session was cut.
func TestHubHelloReserved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, tokenAuth, openAccess, comm.WithLogs(true, true, true)).inMemoryClient()
		s := g.reserve(g.url, helloBody(`{"token":"ann","groups":["lobby"],"metadata":{"device":"phone"}}`))
		s.begin("e", allEvents)
		w := s.event("HubWelcome")
		conn := g.Connection(w.Connection)
		if conn == nil || conn.Session() != w.Session || w.User != "ann" || conn.User() != "ann" || w.Resumed || conn.Metadata()["device"] != "phone" {
			t.Fatalf("%+v", w)
		}
		for range 3 { // all, user:ann, group:lobby
			s.event("HubJoined")
		}
		g.post(comm.ToUser("ann"), "1")
		first := s.event("HubMessage")
		s.cancel()
		<-conn.Done()

		g.post(comm.ToUser("ann"), "2")
		g.post(comm.ToGroup("lobby"), "3")
		hello := fmt.Sprintf(`{"token":"ann","session":%q,"groups":["lobby"],"position":%q}`, w.Session, first.Position)
		s = g.reserve(g.url+"?extensions="+url.QueryEscape(`{"comm":`+hello+`}`), "")
		s.begin("e", allEvents)
		if e := s.event("HubWelcome"); !e.Resumed || e.Session != w.Session {
			t.Errorf("%+v", e)
		}
		var all string
		for range 5 {
			all += s.next()
		}
		if strings.Contains(all, `"content":"1"`) || !strings.Contains(all, `"content":"2"`) || !strings.Contains(all, `"content":"3"`) {
			t.Errorf("missed were 2 and 3, heard %s", all)
		}
		s.cancel()
	})
}

// What the hub says first waits for events as it does over other transports: no longer than the handshake's time.
func TestHubHelloReservedWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for wait, missed := range map[time.Duration]bool{time.Second: false, time.Hour: true} {
			g := memoryMeeting(t, openAccess).inMemoryClient()
			s := g.reserve(g.url, helloBody(`{"groups":["lobby"]}`))
			s.hears()
			time.Sleep(wait)
			s.begin("e", allEvents)
			s.event("HubWelcome")
			g.post(comm.ToGroup("lobby"), "1")
			if missed {
				s.event("HubMessage")
			} else {
				s.event("HubJoined")
			}
			s.cancel()
		}
	})
}

// A hello that is not well-formed is refused before there is a stream, one that the hub does not take when it opens.
func TestHubHelloReservedRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := memoryMeeting(t, tokenAuth, openAccess).inMemoryClient()
		for body, want := range map[string]string{
			helloBody(`{"token":"ann","groups":1}`):     `400 ~member \"groups\"`,
			helloBody(`[]`):                             `400 ~the hello is no object`,
			helloBody(`{"token":"ann","position":"?"}`): `400 ~position entry`,
			helloBody(`{}`):                             `401 ~unauthenticated`,
			`{"extensions":{}}`:                         `401 ~unauthenticated`,
			`{"extensions":[]}`:                         `400 ~extensions`,
			`{"query":"{ connections { total } }"}`:     `400 ~has no operation`,
			`{`:                                         `400 ~`,
			`{}`:                                        `400 ~query`,
			helloBody(`"` + strings.Repeat("x", 70_000)):                                        `400 ~`,
			helloBody(`{"token":"ann","metadata":{"a":"` + strings.Repeat("x", 70_000) + `"}}`): `413 ~at most 65536`,
		} {
			r := request(t, g.client, "PUT", g.url, body)
			status, text, _ := strings.Cut(want, " ~")
			if fmt.Sprint(r.status) != status || !strings.Contains(r.body, text) {
				t.Errorf("%.60s: %d %s, want %s", body, r.status, r.body, want)
			}
		}
		for hello, want := range map[string]string{
			`{"token":"ann","version":9}`: `400 {"errors":[{"message":"version 9: allowed is 1","extensions":{"code":"UNSUPPORTED_VERSION"}}]}`,
		} {
			token := request(t, g.client, "PUT", g.url, helloBody(hello)).body
			r := request(t, g.client, "GET", g.url+"?token="+token, "", "Accept", streamType)
			if got := fmt.Sprint(r.status, " ", r.body); got != want {
				t.Errorf("%s: %s, want %s", hello, got, want)
			}
		}
		if r := request(t, g.client, "PUT", g.url, helloBody(`{"token":"ann"}`), "Content-Type", "text/plain"); r.status != 415 {
			t.Error(r)
		}
	})
}

// What waits of hellos is bounded, and given back when its time is over.
func TestReservedBytesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := graphql.New(graphql.Hub(), graphql.WithReservations(1000, time.Minute))
		g := memoryMeetingOf(t, p, openAccess, comm.WithHandshakeRate(1e6, 1e6)).inMemoryClient()
		large := helloBody(`{"other":"` + strings.Repeat("x", 63<<10) + `"}`)
		taken := 0
		for ; taken < 1000; taken++ {
			if r := request(t, g.client, "PUT", g.url, large); r.status != http.StatusCreated {
				if r.status != 503 || r.header.Get("Retry-After") != "60" || !strings.Contains(r.body, "bytes of reserved streams") {
					t.Error(r)
				}
				break
			}
		}
		if most := 16 << 20 / (63 << 10); taken < most-5 || taken > most {
			t.Errorf("%d were taken", taken)
		}
		if r := request(t, g.client, "PUT", g.url, ""); r.status != http.StatusCreated {
			t.Errorf("one without a hello: %v", r)
		}
		time.Sleep(time.Minute)
		if r := request(t, g.client, "PUT", g.url, large); r.status != http.StatusCreated {
			t.Error(r)
		}
	})
}
