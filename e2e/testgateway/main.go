// Command testgateway is the gateway for the tests of comm.js in a browser that examples/gateway
// cannot serve: identities that end within seconds. It serves a bare page with the module, and
//
//	GET  /token?user=ann&ttl=3s   a token for a user that ends after ttl
//	POST /send?to=group:lobby     sends the body, as JSON, in a message of type "note"
//
// It prints its address and drains on SIGTERM.
package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/anasamu/comm"
	commhttp "github.com/anasamu/comm/http"
	commjs "github.com/anasamu/comm/js"
	"github.com/anasamu/comm/sse"
	"github.com/anasamu/comm/ws"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "address to serve")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, *addr, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testgateway:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, addr string, out io.Writer) error {
	tokens := newMint()
	var gw *comm.Manager // set before anything is served
	web := commhttp.New(
		commhttp.HandleFunc("GET /{$}", page),
		commhttp.Handle("GET /comm.js", commjs.Handler()),
		commhttp.HandleFunc("GET /token", tokens.serve),
		commhttp.HandleFunc("POST /send", func(w http.ResponseWriter, r *http.Request) { send(gw, w, r) }),
	)
	gw, err := comm.New(
		comm.WithAddr(addr),
		comm.WithProvider(web, ws.New(ws.WithPath("/ws")), sse.New(sse.WithPath("/events"))),
		comm.WithAuthenticator(tokens.authenticate),
		comm.WithAuthorizer(func(context.Context, *comm.Conn, comm.Access) error { return nil }),
		comm.WithExpiryGrace(300*time.Millisecond),
		comm.WithDrainSpread(200*time.Millisecond),
		comm.WithDrainTimeout(5*time.Second),
	)
	if err != nil {
		return err
	}
	comm.OnCall(gw, "sum", func(_ context.Context, _ *comm.Conn, numbers []float64) (float64, error) {
		var sum float64
		for _, n := range numbers {
			sum += n
		}
		return sum, nil
	})
	if err := gw.Start(ctx); err != nil {
		return err
	}
	addrs, err := gw.Addrs("http")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on http://%s\n", addrs[0])
	<-ctx.Done()
	return errors.Join(gw.Drain(context.WithoutCancel(ctx)), gw.Close())
}

// mint makes tokens and takes them: user, end and a signature that lives as long as the process.
type mint struct{ key []byte }

func newMint() mint {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return mint{key}
}

func (m mint) sign(text string) string {
	mac := hmac.New(sha256.New, m.key)
	mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (m mint) token(user string, ttl time.Duration) string {
	text := user + "|" + strconv.FormatInt(time.Now().Add(ttl).UnixMilli(), 10)
	return base64.RawURLEncoding.EncodeToString([]byte(text)) + "." + m.sign(text)
}

// authenticate admits a client without a token as nobody.
func (m mint) authenticate(_ context.Context, hs *comm.Handshake) (comm.Identity, error) {
	if hs.Token == "" {
		return comm.Identity{}, nil
	}
	body, signature, _ := strings.Cut(hs.Token, ".")
	text, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || !hmac.Equal([]byte(signature), []byte(m.sign(string(text)))) {
		return comm.Identity{}, fmt.Errorf("%w: a token of another gateway", comm.ErrUnauthenticated)
	}
	user, end, _ := strings.Cut(string(text), "|")
	ms, err := strconv.ParseInt(end, 10, 64)
	expires := time.UnixMilli(ms)
	if err != nil || time.Now().After(expires) {
		return comm.Identity{}, fmt.Errorf("%w: the token has ended", comm.ErrUnauthenticated)
	}
	return comm.Identity{User: user, Expires: expires}, nil
}

func page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "<!doctype html><html lang=en><meta charset=utf-8><title>comm.js</title><link rel=icon href=data:,>")
}

func (m mint) serve(w http.ResponseWriter, r *http.Request) {
	ttl, err := time.ParseDuration(r.FormValue("ttl"))
	if err != nil {
		http.Error(w, "ttl: "+err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = io.WriteString(w, m.token(r.FormValue("user"), ttl))
}

func send(gw *comm.Manager, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil || !json.Valid(body) {
		http.Error(w, "the body is not JSON", http.StatusBadRequest)
		return
	}
	target, err := comm.ParseTarget(r.FormValue("to"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	msg, err := comm.NewMessage("note", json.RawMessage(body))
	if err == nil {
		_, err = gw.Send(r.Context(), target, msg)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
