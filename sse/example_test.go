package sse_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/sse"
)

// A gateway whose clients read with EventSource, or curl -N.
func ExampleNew() {
	m, err := comm.New(comm.WithProvider(sse.New(sse.WithPath("/news"))), comm.WithInMemory(), comm.WithOpenAccess())
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	if err := m.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: m.DialContext}}
	res, err := client.Get("http://gateway/news?group=sports")
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()

	goal, err := comm.NewMessage("goal", "1:0")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := m.Send(context.Background(), comm.ToGroup("sports"), goal); err != nil {
		log.Fatal(err)
	}
	d := sse.NewDecoder(res.Body)
	fmt.Println("status", res.StatusCode)
	for ev, err := range d.Events() {
		if err != nil {
			log.Fatal(err)
		}
		var f struct{ Op, Type, Content string }
		if err := json.Unmarshal(ev.Data, &f); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("event %q: %s\n", ev.Type, cmp.Or(f.Op, f.Type+" "+f.Content))
		if f.Type == "goal" {
			break
		}
	}
	// Output:
	// status 200
	// event "control": welcome
	// event "control": joined
	// event "": goal 1:0
}

// A plain stream without the manager: the function's return ends it.
func ExampleHandler() {
	clock := sse.Handler(func(ctx context.Context, s *sse.Stream) error {
		for i := range 3 {
			if err := s.Send(ctx, sse.Event{ID: fmt.Sprint(i), Type: "tick", Data: []byte("now\nor never")}); err != nil {
				return err
			}
		}
		return nil
	}, sse.WithRetry(2*time.Second), sse.WithLifetime(time.Hour))
	srv := httptest.NewServer(clock)
	defer srv.Close()

	res, err := http.Get(srv.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	for ev, err := range sse.NewDecoder(res.Body).Events() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s %q\n", ev.ID, ev.Type, ev.Data)
	}
	// Output:
	// 0 tick "now\nor never"
	// 1 tick "now\nor never"
	// 2 tick "now\nor never"
}

// Accept is for handlers that want the stream in their own hands.
func ExampleAccept() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sse.Accept(w, r)
		if err != nil {
			return // answered already
		}
		defer s.Close()
		_ = s.Send(r.Context(), sse.Event{Data: []byte("resumed after " + s.LastEventID())})
	}))
	defer srv.Close()

	client, err := sse.NewClient(srv.URL, sse.WithLastEventID("41"), sse.WithoutReconnect())
	if err != nil {
		log.Fatal(err)
	}
	err = client.Run(context.Background(), func(ev sse.Event) error {
		fmt.Printf("%s\n", ev.Data)
		return nil
	})
	fmt.Println(err)
	// Output:
	// resumed after 41
	// <nil>
}

// A client that follows a stream across its ends until the server says that it is over.
func ExampleClient_Events() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Last-Event-ID") == "2" {
			w.WriteHeader(http.StatusNoContent) // nothing more will come
			return
		}
		w.Header().Set("Content-Type", sse.ContentType)
		fmt.Fprint(w, "retry: 1\nid: 1\ndata: one\n\nid: 2\ndata: two\n\n")
	}))
	defer srv.Close()

	client, err := sse.NewClient(srv.URL)
	if err != nil {
		log.Fatal(err)
	}
	for ev, err := range client.Events(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s\n", ev.ID, ev.Data)
	}
	// Output:
	// 1: one
	// 2: two
}

// Encode once, send to many.
func ExampleEvent_Append() {
	ev := sse.Event{Type: "chat", Data: []byte("first line\r\nsecond line")}
	shared, err := ev.Append(nil)
	if err != nil {
		log.Fatal(err)
	}
	os.Stdout.Write(shared)

	forged := sse.Event{ID: "1\ndata: forged"}
	_, err = forged.Append(nil)
	fmt.Println(err)
	// Output:
	// event: chat
	// data: first line
	// data: second line
	//
	// sse: field "id" at byte 1 holds '\n'; CR, LF and NUL are not allowed
}

func ExampleDecoder() {
	d := sse.NewDecoder(strings.NewReader(": a comment\nevent: add\ndata: 73857293\n\ndata: unfinished"))
	for ev, err := range d.Events() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s\n", ev.Type, ev.Data)
	}
	// Output:
	// add 73857293
}
