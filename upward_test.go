package comm_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/anasamu/comm"
)

// What a gateway answers to frames that came in a request, and what a client reads from it.
func TestUpwardAnswer(t *testing.T) {
	t.Parallel()
	codec := comm.JSON()
	for _, c := range []struct {
		accepted int
		err      error
		status   int
		body     string
		read     int // by the client
		code     comm.Code
	}{
		{3, nil, 202, `{"accepted":3}`, -1, ""},
		{2, &comm.FrameError{Code: comm.CodeUnknownOp, ID: "a", Text: "no"}, 400, `{"op":"error","id":"a","code":"unknown_op","message":"no","accepted":2}`, 2, comm.CodeUnknownOp},
		{1, fmt.Errorf("in a handler: %w", comm.ErrClosed), 404, `{"op":"error","code":"not_found","message":"the connection has ended: open a new one and resume","accepted":1}`, 1, comm.CodeNotFound},
		{0, &comm.PeerError{Code: comm.CodeRateLimited, Message: "busy"}, 429, `{"op":"error","code":"rate_limited","message":"busy","accepted":0}`, 0, comm.CodeRateLimited},
		{0, errors.New("a secret"), 500, `{"op":"error","code":"internal","message":"internal error","accepted":0}`, 0, comm.CodeInternal},
	} {
		status, body := comm.UpwardAnswer(codec, c.accepted, c.err)
		if status != c.status || string(body) != c.body {
			t.Errorf("%v: answered %d %s, want %d %s", c.err, status, body, c.status, c.body)
		}
		n, refusal := comm.UpwardRefusal(codec, body)
		if n != c.read || (refusal == nil) != (c.code == "") || refusal != nil && refusal.Code != c.code {
			t.Errorf("%s: read %d, %v", body, n, refusal)
		}
	}
	for body, want := range map[string]int{
		`{"op":"error","code":"bad_frame"}`: -1, `{"op":"error","code":"bad_frame","accepted":"2"}`: -1,
		`{"op":"error","code":"bad_frame","accepted":null}`: -1, `{"op":"error","code":"bad_frame","accepted":0}`: 0,
	} {
		if n, refusal := comm.UpwardRefusal(codec, []byte(body)); n != want || refusal == nil {
			t.Errorf("%s: read %d, %v, want %d", body, n, refusal, want)
		}
	}
	for _, body := range []string{``, `<html>`, `[]`, `{"type":"n"}`} {
		if _, refusal := comm.UpwardRefusal(codec, []byte(body)); refusal != nil {
			t.Errorf("%s is read as %v", body, refusal)
		}
	}
}

// Whatever frames a body holds, they can be sent on in another and are as many again.
func FuzzFramesAgain(f *testing.F) {
	for _, body := range []string{
		`{"type":"n","content":1}`, `[{"type":"n","content":1},{"op":"ping","id":"1"}]`, ` [ ] `, `[[{"op":"ping"}]]`,
		`[{"op":"ping"},5]`, `{"op":"join","group":"lobby","position":"group:lobby@a.1:3"}`, `[`, ``, "\xff", `[{"op":"ping"}]x`,
	} {
		f.Add([]byte(body))
	}
	codec := comm.JSON()
	f.Fuzz(func(t *testing.T, body []byte) {
		again, n := []byte{'['}, 0
		for f, err := range comm.Frames(codec, body) {
			if err != nil {
				if comm.HTTPStatus(err) != 400 {
					t.Fatalf("%q: %v is no bad request", body, err)
				}
				break
			}
			if n++; n > 1 {
				again = append(again, ',')
			}
			var err error
			if again, err = codec.AppendFrame(again, f); err != nil {
				t.Fatalf("%+v cannot be sent on: %v", f, err)
			}
		}
		for _, err := range comm.Frames(codec, append(again, ']')) {
			if n--; err != nil {
				t.Fatalf("%q: %v", again, err)
			}
		}
		if n != 0 {
			t.Fatalf("%q: %d frames are missing in %q", body, n, again)
		}
	})
}
