package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/anasamu/comm/ws"
)

// A fuzzing server in small: two cases, each one message that must come back.
func TestClientRunsAllCases(t *testing.T) {
	t.Parallel()
	var echoed, reported atomic.Int32
	mux := http.NewServeMux()
	mux.Handle("/getCaseCount", ws.Handler(func(ctx context.Context, c *ws.Conn) error {
		return c.Write(ctx, ws.Text, []byte("2"))
	}))
	mux.HandleFunc("/runCase", func(w http.ResponseWriter, r *http.Request) {
		c, err := ws.Accept(w, r, ws.WithCompression(ws.Compression{}))
		if err != nil {
			return
		}
		defer c.CloseNow()
		want := strings.Repeat("case "+r.FormValue("case"), 1000)
		if err := c.Write(r.Context(), ws.Text, []byte(want)); err != nil {
			return
		}
		if _, p, err := c.Read(r.Context(), nil); err == nil && string(p) == want && r.FormValue("agent") == "comm" && c.Compressed() {
			echoed.Add(1)
		}
		c.Close(r.Context(), ws.StatusNormal, "")
	})
	mux.Handle("/updateReports", ws.Handler(func(context.Context, *ws.Conn) error {
		reported.Add(1)
		return nil
	}))
	s := httptest.NewServer(mux)
	defer s.Close()
	if err := runCases(t.Context(), strings.Replace(s.URL, "http", "ws", 1)+"/", true); err != nil {
		t.Fatal(err)
	}
	if echoed.Load() != 2 || reported.Load() != 1 {
		t.Errorf("%d cases echoed, %d reports", echoed.Load(), reported.Load())
	}
}

func TestCertificateServesLoopback(t *testing.T) {
	t.Parallel()
	conf, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(ws.Handler(echo))
	s.TLS = conf
	s.StartTLS()
	defer s.Close()
	leaf, err := x509.ParseCertificate(conf.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	c, _, err := ws.Dial(t.Context(), strings.Replace(s.URL, "https", "wss", 1), ws.WithTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		msg := fmt.Append(nil, "message ", i)
		if err := c.Write(t.Context(), ws.Binary, msg); err != nil {
			t.Fatal(err)
		}
		if _, p, err := c.Read(t.Context(), nil); err != nil || string(p) != string(msg) {
			t.Fatalf("%q, %v", p, err)
		}
	}
	if err := c.Close(t.Context(), ws.StatusNormal, ""); err != nil {
		t.Error(err)
	}
}
