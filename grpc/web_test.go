package commgrpc_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"

	commgrpc "github.com/anasamu/comm/grpc"
)

func webPayload(body string) *testpb.Payload { return &testpb.Payload{Body: []byte(body)} }

// carriers runs a test over each of HTTP/1.1 and HTTP/2 with TLS, in binary and as text.
func carriers(t *testing.T, run func(t *testing.T, h2 bool, media string)) {
	for _, h2 := range []bool{false, true} {
		for _, media := range []string{"application/grpc-web", "application/grpc-web+proto", "application/grpc-web-text", "application/grpc-web-text+proto"} {
			t.Run(fmt.Sprintf("h2=%v/%s", h2, strings.TrimPrefix(media, "application/")), func(t *testing.T) {
				t.Parallel()
				run(t, h2, media)
			})
		}
	}
}

// webBody is a body in the form of a content type.
func webBody(media string, body []byte) io.Reader {
	if strings.Contains(media, "-text") {
		return strings.NewReader(base64.StdEncoding.EncodeToString(body))
	}
	return bytes.NewReader(body)
}

func TestWebUnary(t *testing.T) {
	t.Parallel()
	carriers(t, func(t *testing.T, h2 bool, media string) {
		s := startWeb(t, newWebHandler(t, &webService{}, commgrpc.WebSettings{}), h2)
		for _, size := range []int{0, 1, 2, 3, 100, 70_000, 1 << 20} {
			in := &testpb.SimpleRequest{Payload: webPayload(strings.Repeat("a", size))}
			res := webCall(t, s, unaryPath, media, webBody(media, frame(t, 0, in)), "X-Echo", "one", "X-Echo", "two", "X-Trailing-Bin", "AAEC")
			f := readWeb(t, res)
			if want := strings.TrimSuffix(media, "+proto") + "+proto"; res.StatusCode != 200 || res.Header.Get("Content-Type") != want {
				t.Errorf("status %d, content type %q, want %q", res.StatusCode, res.Header.Get("Content-Type"), want)
			}
			if got := res.Header["X-Echoed"]; !slices.Equal(got, []string{"one", "two"}) {
				t.Errorf("metadata %q", got)
			}
			if len(f.messages) != 1 || f.flags[0] != 0 {
				t.Fatalf("%d messages of %d bytes, flags %v, trailers %q", len(f.messages), size, f.flags, f.trailers)
			}
			var out testpb.SimpleResponse
			if err := proto.Unmarshal(f.messages[0], &out); err != nil || !bytes.Equal(out.GetPayload().GetBody(), in.GetPayload().GetBody()) {
				t.Errorf("%d bytes came back, %v", len(out.GetPayload().GetBody()), err)
			}
			want := map[string]string{"grpc-status": "0", "x-trailed-bin": "AAEC", "x-lines": "one  grpc-status: 3"}
			if fmt.Sprint(f.trailers) != fmt.Sprint(want) {
				t.Errorf("trailers %q, want %q", f.trailers, want)
			}
		}
	})
}

// Each message leaves when it is sent, and as text can be decoded then.
func TestWebStreams(t *testing.T) {
	t.Parallel()
	carriers(t, func(t *testing.T, h2 bool, media string) {
		service := &webService{step: make(chan struct{}), entered: make(chan error, 1)}
		s := startWeb(t, newWebHandler(t, service, commgrpc.WebSettings{}), h2)
		in := &testpb.StreamingOutputCallRequest{}
		for _, size := range []int32{1, 2, 3, 0, 40_000} {
			in.ResponseParameters = append(in.ResponseParameters, &testpb.ResponseParameters{Size: size})
		}
		res := webCall(t, s, streamPath, media, webBody(media, frame(t, 0, in)))
		for i, p := range in.ResponseParameters {
			body := make([]byte, p.GetSize())
			if len(body) > 0 {
				body[0] = byte(i)
			}
			want := frame(t, 0, &testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: body}})
			got := make([]byte, len(want))
			if strings.Contains(media, "-text") {
				got = make([]byte, base64.StdEncoding.EncodedLen(len(want)))
			}
			if _, err := io.ReadFull(res.Body, got); err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
			if strings.Contains(media, "-text") {
				got = plainOf(t, got)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("message %d is %.40q, want %.40q", i, got, want)
			}
			if i < len(in.ResponseParameters)-1 {
				service.step <- struct{}{}
			}
		}
		if f := readWeb(t, res); f.trailers["grpc-status"] != "0" || len(f.messages) != 0 {
			t.Errorf("it ends by %+v", f)
		}
	})
}

func TestWebStatus(t *testing.T) {
	t.Parallel()
	const told = "äöü\t\r\nis not% found "
	refused := &testpb.EchoStatus{Code: 5, Message: told}
	carriers(t, func(t *testing.T, h2 bool, media string) {
		s := startWeb(t, newWebHandler(t, &webService{}, commgrpc.WebSettings{}), h2)

		res := webCall(t, s, unaryPath, media, webBody(media, frame(t, 0, &testpb.SimpleRequest{ResponseStatus: refused, Payload: webPayload("why")})), "X-Trailing-Bin", "AAEC")
		if f := readWeb(t, res); len(f.messages)+len(f.trailers) != 0 {
			t.Errorf("a failed call has a body: %+v", f)
		}
		code, message := statusIn(res, webFrames{})
		if want := "%C3%A4%C3%B6%C3%BC%09%0D%0Ais not%25 found"; code != "5" || strings.TrimSpace(message) != want {
			t.Errorf("status %q, %q, want %q", code, message, want)
		}
		if res.Header.Get("Grpc-Status-Details-Bin") == "" || res.Header.Get("X-Trailed-Bin") != "AAEC" || res.StatusCode != 200 {
			t.Errorf("HTTP status %d with headers %q", res.StatusCode, res.Header)
		}

		in := &testpb.StreamingOutputCallRequest{ResponseStatus: refused, ResponseParameters: []*testpb.ResponseParameters{{Size: 1}}}
		res = webCall(t, s, streamPath, media, webBody(media, frame(t, 0, in)))
		f := readWeb(t, res)
		if len(f.messages) != 1 || f.trailers["grpc-status"] != "5" || res.Header.Get("Grpc-Status") != "" {
			t.Errorf("a stream that fails is %+v", f)
		}

		// Nothing but the end: the status is in a frame, so that no client takes the call for refused.
		res = webCall(t, s, streamPath, media, webBody(media, frame(t, 0, &testpb.StreamingOutputCallRequest{})))
		if f := readWeb(t, res); len(f.messages) != 0 || f.trailers["grpc-status"] != "0" {
			t.Errorf("an empty stream is %+v", f)
		}
	})
}

// A client may ask for text by Accept alone.
func TestWebAccept(t *testing.T) {
	t.Parallel()
	s := startWeb(t, newWebHandler(t, &webService{}, commgrpc.WebSettings{}), false)
	for _, c := range []struct{ sent, accept, want string }{
		{"application/grpc-web", "application/grpc-web-text", "application/grpc-web-text+proto"},
		{"application/grpc-web-text", "application/grpc-web+proto", "application/grpc-web+proto"},
		{"application/grpc-web-text", "application/grpc-web+proto, application/grpc-web-text", "application/grpc-web-text+proto"},
		{"application/grpc-web-text", "*/*", "application/grpc-web-text+proto"},
		{"Application/gRPC-Web-Text-Base64; charset=utf-8", "", "application/grpc-web-text+proto"},
	} {
		body := webBody(strings.ToLower(c.sent), frame(t, 0, &testpb.SimpleRequest{Payload: webPayload("x")}))
		res := webCall(t, s, unaryPath, c.sent, body, "Accept", c.accept)
		f := readWeb(t, res)
		if got := res.Header.Get("Content-Type"); got != c.want || f.trailers["grpc-status"] != "0" {
			t.Errorf("%q with Accept %q is answered by %q, %q", c.sent, c.accept, got, f.trailers)
		}
	}
}

// Base64 may be padded in the middle, wherever the client had to flush.
func TestWebTextInPieces(t *testing.T) {
	t.Parallel()
	s := startWeb(t, newWebHandler(t, &webService{}, commgrpc.WebSettings{}), false)
	whole := frame(t, 0, &testpb.SimpleRequest{Payload: webPayload("pieces of text")})
	for cut := 1; cut < len(whole); cut++ {
		text := commgrpc.TextPieces(whole[:cut], whole[cut:])
		res := webCall(t, s, unaryPath, "application/grpc-web-text", bytes.NewReader(text))
		if f := readWeb(t, res); len(f.messages) != 1 || !bytes.Contains(f.messages[0], []byte("pieces of text")) {
			t.Fatalf("cut at %d: %+v", cut, f)
		}
	}
}

func TestWebCompressed(t *testing.T) {
	t.Parallel()
	s := startWeb(t, newWebHandler(t, &webService{}, commgrpc.WebSettings{}), false)
	content, err := proto.Marshal(&testpb.SimpleRequest{Payload: webPayload(strings.Repeat("compressed ", 100))})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(content)
	_ = z.Close()
	res := webCall(t, s, unaryPath, "application/grpc-web", bytes.NewReader(rawFrame(1, b.Bytes())), "Grpc-Encoding", "gzip")
	f := readWeb(t, res)
	if len(f.messages) != 1 || f.flags[0] != 1 || res.Header.Get("Grpc-Encoding") != "gzip" {
		t.Fatalf("%+v with headers %q", f, res.Header)
	}
	r, err := gzip.NewReader(bytes.NewReader(f.messages[0]))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil || !bytes.Contains(plain, []byte(strings.Repeat("compressed ", 100))) {
		t.Errorf("%q, %v", plain, err)
	}
	res = webCall(t, s, unaryPath, "application/grpc-web", bytes.NewReader(rawFrame(1, b.Bytes())), "Grpc-Encoding", "none-such")
	if code, message := statusIn(res, readWeb(t, res)); code != "12" {
		t.Errorf("an unknown compression is status %s, %q", code, message)
	}
}

// What is no call is answered at once, by a status that says what is wrong, on a connection that still waits
// for more.
func TestWebRefuses(t *testing.T) {
	t.Parallel()
	good := frame(t, 0, &testpb.SimpleRequest{Payload: webPayload("x")})
	text := base64.StdEncoding.EncodeToString(good)
	long := rawFrame(0, make([]byte, 101))
	for _, c := range []struct {
		name, path, media, body string
		length                  int // promised; 0 is that of the body
		headers                 string
		code, message           string
	}{
		{"no message", unaryPath, "application/grpc-web", "", 0, "", "12", "without a message"},
		{"a head that is cut", unaryPath, "application/grpc-web", "\x00\x00\x00", 0, "", "13", "needs 5 bytes, and 3 came"},
		{"a message that is cut", unaryPath, "application/grpc-web", string(good[:len(good)-1]), 0, "", "13", "of 5 bytes, and 4 came"},
		{"two messages", unaryPath, "application/grpc-web", string(good) + string(good), 0, "", "12", "more than one message"},
		{"bytes behind the message", unaryPath, "application/grpc-web", string(good) + "\x00", 0, "", "12", "more than one message"},
		{"trailers", unaryPath, "application/grpc-web", "\x80\x00\x00\x00\x00", 1000, "", "13", "no trailers"},
		{"unknown flags", unaryPath, "application/grpc-web", "\x02\x00\x00\x00\x00", 1000, "", "13", "flags 0x02"},
		{"too long", unaryPath, "application/grpc-web", string(long[:5]), 1 << 20, "", "8", "101 bytes; at most 100"},
		{"4 GiB", unaryPath, "application/grpc-web", "\x00\xff\xff\xff\xff", 1 << 20, "", "8", "4294967295 bytes; at most 100"},
		{"4 GiB as text", unaryPath, "application/grpc-web-text", "AP////8A", 1 << 20, "", "8", "4294967295 bytes; at most 100"},
		{"no Protocol Buffers", unaryPath, "application/grpc-web", string(rawFrame(0, []byte{0xff})), 0, "", "13", "proto"},
		{"no base64", unaryPath, "application/grpc-web-text", "@@@@" + text, 1 << 20, "", "13", "base64"},
		{"a line break", unaryPath, "application/grpc-web-text", text[:4] + "\r\n\r\n" + text[4:], 0, "", "13", "line break"},
		{"base64 that is cut", unaryPath, "application/grpc-web-text", text[:len(text)-1], 0, "", "13", "group of four"},
		{"base64 of padding", unaryPath, "application/grpc-web-text", "====", 1 << 20, "", "13", "base64"},
		{"a body that is compressed", unaryPath, "application/grpc-web", "x", 1000, "Content-Encoding: br", "12", `"br" is not taken`},
		{"a bad timeout", unaryPath, "application/grpc-web", string(good), 0, "Grpc-Timeout: soon", "13", "grpc-timeout"},
		{"bad binary metadata", unaryPath, "application/grpc-web", string(good), 0, "X-Bad-Bin: @", "13", "binary metadata"},
		{"no such method", "/grpc.testing.TestService/None", "application/grpc-web", string(good), 0, "", "12", "None"},
		{"no such service", "/none/None", "application/grpc-web", string(good), 0, "", "12", "none"},
		{"a stream of messages", inputPath, "application/grpc-web", "", 1000, "", "12", "gRPC-Web cannot send"},
		{"both ways", "/grpc.testing.TestService/FullDuplexCall", "application/grpc-web-text", "", 1000, "", "12", "gRPC-Web cannot send"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := startWeb(t, newWebHandler(t, &webService{}, commgrpc.WebSettings{MaxReceive: 100}), false)
			head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: here\r\nContent-Type: %s\r\nContent-Length: %d\r\n", c.path, c.media, max(len(c.body), c.length))
			if c.headers != "" {
				head += c.headers + "\r\n"
			}
			res := rawCall(t, s.Listener.Addr(), head+"\r\n"+c.body)
			f := readWeb(t, res)
			code, message := statusIn(res, f)
			if res.StatusCode != 200 || code != c.code || !strings.Contains(message, c.message) || len(f.messages) != 0 {
				t.Errorf("HTTP status %d, status %s %q with %+v, want %s %q", res.StatusCode, code, message, f, c.code, c.message)
			}
		})
	}
}

// rawCall writes a request and reads the response, while the connection stays open for more.
func rawCall(t *testing.T, addr net.Addr, request string) *http.Response {
	t.Helper()
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return readResponse(t, c)
}

func TestMixedRefuses(t *testing.T) {
	t.Parallel()
	s := startWeb(t, newWebHandler(t, &webService{}, commgrpc.WebSettings{}), false)
	for _, c := range []struct {
		method, media string
		status        int
	}{
		{"GET", "application/grpc-web", http.StatusMethodNotAllowed},
		{"POST", "", http.StatusUnsupportedMediaType},
		{"POST", "application/json", http.StatusUnsupportedMediaType},
		{"POST", "application/grpc-web+json", http.StatusUnsupportedMediaType},
		{"POST", "application/grpcweb", http.StatusUnsupportedMediaType},
		{"POST", "application/grpc", http.StatusHTTPVersionNotSupported},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, s.URL+unaryPath, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", c.media)
		res, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != c.status {
			t.Errorf("%s of %q is answered %d, want %d", c.method, c.media, res.StatusCode, c.status)
		}
	}
}

var errForeign = errors.New("a foreign origin")

func TestWebOrigins(t *testing.T) {
	t.Parallel()
	only := func(r *http.Request) error {
		if o := r.Header.Get("Origin"); o != "" && o != "https://app.example" {
			return errForeign
		}
		return nil
	}
	s := startWeb(t, newWebHandler(t, &webService{}, commgrpc.WebSettings{CheckOrigin: only}), false)
	body := func() io.Reader {
		return bytes.NewReader(frame(t, 0, &testpb.SimpleRequest{Payload: webPayload("x")}))
	}

	res := webCall(t, s, unaryPath, "application/grpc-web+proto", body(), "Origin", "https://app.example", "X-Echo", "1")
	want := "grpc-status, grpc-message, grpc-status-details-bin, x-echoed"
	if h := res.Header; h.Get("Access-Control-Allow-Origin") != "https://app.example" || h.Get("Access-Control-Expose-Headers") != want || h.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("an allowed page is answered with %q", h)
	}
	res = webCall(t, s, "/none/None", "application/grpc-web+proto", body(), "Origin", "https://app.example")
	if h := res.Header; h.Get("Access-Control-Allow-Origin") != "https://app.example" || h.Get("Access-Control-Expose-Headers") == "" || h.Get("Grpc-Status") != "12" {
		t.Errorf("a call that fails is answered with %q", h)
	}
	for _, media := range []string{"application/grpc-web+proto", "application/grpc"} {
		res = webCall(t, s, unaryPath, media, body(), "Origin", "https://evil.example")
		if h := res.Header; res.StatusCode != http.StatusForbidden || h.Get("Access-Control-Allow-Origin") != "" || h.Get("Grpc-Status") != "7" || h.Get("Grpc-Message") != errForeign.Error() {
			t.Errorf("a foreign page is answered %d with %q", res.StatusCode, h)
		}
	}
	res = webCall(t, s, unaryPath, "application/grpc-web+proto", body())
	if h := res.Header; h.Get("Access-Control-Expose-Headers") != "" || res.StatusCode != 200 {
		t.Errorf("what is no page is answered with %q", h)
	}
}

func TestWebPreflight(t *testing.T) {
	t.Parallel()
	only := func(r *http.Request) error {
		if r.Header.Get("Origin") != "https://app.example" {
			return errForeign
		}
		return nil
	}
	s := startWeb(t, newWebHandler(t, &webService{}, commgrpc.WebSettings{CheckOrigin: only}), false)
	for origin, status := range map[string]int{"https://app.example": http.StatusNoContent, "https://evil.example": http.StatusForbidden} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, s.URL+unaryPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Header.Set("Access-Control-Request-Headers", "content-type,x-grpc-web,x-user-agent,x-my-own,grpc-timeout")
		res, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("a preflight of %s is answered %d", origin, res.StatusCode)
		}
		if h := res.Header; status == http.StatusNoContent && (h.Get("Access-Control-Allow-Headers") != r.Header.Get("Access-Control-Request-Headers") || h.Get("Access-Control-Allow-Methods") != "POST") {
			t.Errorf("the preflight is answered with %q", h)
		}
	}
}
