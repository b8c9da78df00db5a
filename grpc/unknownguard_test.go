package commgrpc_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	commgrpc "github.com/anasamu/comm/grpc"
)

// roads are the ways by which a call without an identity comes in; each answers the status.
func roads(t *testing.T, p *commgrpc.Provider) map[string]func(method, subtype string) codes.Code {
	m := guarded(t, p)
	conn := client(t, m)
	w := newWeb(t, m, true)
	return map[string]func(method, subtype string) codes.Code{
		"native": func(method, subtype string) codes.Code {
			in, out := []byte("ab"), []byte(nil)
			return status.Code(conn.Invoke(t.Context(), method, &in, &out, grpc.ForceCodecV2(commgrpc.RawCodec(subtype))))
		},
		"net/http": func(method, subtype string) codes.Code {
			return overHTTP(t, w, method, "application/grpc+"+subtype)
		},
		"gRPC-Web": func(method, subtype string) codes.Code {
			return overHTTP(t, w, method, "application/grpc-web+"+subtype)
		},
		"gRPC-Web as text": func(method, subtype string) codes.Code {
			return overHTTP(t, w, method, "Application/gRPC-Web-Text+"+subtype)
		},
	}
}

// overHTTP calls by a request, and returns what its status is, wherever it stands.
func overHTTP(t *testing.T, w *web, method, media string) codes.Code {
	t.Helper()
	body := "\x00\x00\x00\x00\x02ab"
	if strings.Contains(media, "Text") {
		body = "AAAAAAJhYg=="
	}
	res, err := w.Post(w.scheme+"://localhost"+method, media, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(media, "application/grpc+") {
		defer res.Body.Close()
		if _, err := res.Body.Read(make([]byte, 1)); res.StatusCode != http.StatusOK || err == nil {
			t.Fatalf("%s: %s, %v", method, res.Status, err)
		}
		return codeNumber(t, res.Header.Get("Grpc-Status")+res.Trailer.Get("Grpc-Status"))
	}
	code, _ := statusIn(res, readWeb(t, res))
	return codeNumber(t, code)
}

func codeNumber(t *testing.T, text string) (c codes.Code) {
	t.Helper()
	if err := c.UnmarshalJSON([]byte(text)); err != nil {
		t.Fatalf("status %q: %v", text, err)
	}
	return c
}

// By whatever road, under whatever spelling and in whatever codec a call of an unknown service comes: the authorizer is
// asked, and the rate counts it.
func TestUnknownServicesAreGuarded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var reached atomic.Int32
		handler := commgrpc.WithUnknownService(func(any, grpc.ServerStream) error { reached.Add(1); return nil })
		for road, call := range roads(t, commgrpc.New(with(new(service)), handler)) {
			for _, method := range []string{"/other.Service/Do", "//other.Service/Do", "/grpc.testing.TestService/Other", "/comm.v1.HubService/Other"} {
				for _, subtype := range []string{"proto", "testjson"} {
					if got := call(method, subtype); got != codes.PermissionDenied && got != codes.Unauthenticated {
						t.Errorf("%s: %s in %s: %v", road, method, subtype, got)
					}
				}
			}
		}
		for _, road := range []string{"native", "net/http", "gRPC-Web", "gRPC-Web as text"} {
			call := roads(t, commgrpc.New(handler, commgrpc.WithCallRate(1, 2)))[road]
			for n, limited := range []bool{false, false, true, true} {
				if got := call("/other.Service/Do", "proto"); (got == codes.ResourceExhausted) != limited {
					t.Errorf("%s: call %d: %v", road, n, got)
				}
			}
		}
		if n := reached.Load(); n > 0 {
			t.Errorf("%d calls have reached the handler", n)
		}
	})
}
