package commhttp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	commhttp "github.com/anasamu/comm/http"
	"github.com/anasamu/comm/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// onServers runs test against h on a real server of each HTTP version.
func onServers(t *testing.T, h http.Handler, test func(t *testing.T, client *http.Client, url string)) {
	t.Helper()
	for _, h2 := range []bool{false, true} {
		name := "http1"
		if h2 {
			name = "http2"
		}
		t.Run(name, func(t *testing.T) {
			client, url := server(t, h, h2)
			test(t, client, url)
		})
	}
}

func server(t testing.TB, h http.Handler, h2 bool) (*http.Client, string) {
	srv := httptest.NewUnstartedServer(h)
	if h2 {
		srv.EnableHTTP2 = true
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	client := srv.Client()
	client.Timeout = 20 * time.Second
	client.Transport.(*http.Transport).DisableCompression = true
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client, srv.URL
}

type answer struct {
	*http.Response
	body string
	err  error // of reading the body
}

// ask sends one request; header is name, value, name, value.
func ask(t testing.TB, client *http.Client, method, url string, body io.Reader, header ...string) answer {
	t.Helper()
	a, err := tryAsk(t.Context(), client, method, url, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func tryAsk(ctx context.Context, client *http.Client, method, url string, body io.Reader, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp, string(b), err}, nil
}

func mustHandler(t testing.TB, opts ...commhttp.Option) http.Handler {
	t.Helper()
	h, err := commhttp.NewHandler(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// must is for constructors whose arguments are known to be right.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// words is its arguments with spaces between.
func words(a ...any) string { return strings.TrimSpace(fmt.Sprintln(a...)) }
