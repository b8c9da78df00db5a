package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/anasamu/comm/internal/jsonscan"
)

func TestObject(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want string // name=value; joined by spaces
		err  error
	}{
		{`{}`, "", nil},
		{" {\t\"a\" : 1 ,\r\n\"b\":[1,{\"c\":\"]\"}] } ", `a=1 b=[1,{"c":"]"}]`, nil},
		{`{"a":"x\"}","b":{"{":"\\"},"c":-1.5e3,"d":true,"e":null}`, `a="x\"}" b={"{":"\\"} c=-1.5e3 d=true e=null`, nil},
		{`{"a":1,"a":2}`, "a=1 a=2", nil},
		{`{"\u0061":1}`, `\u0061=1`, nil},
		{`[]`, "", jsonscan.ErrNotObject},
		{`"{}"`, "", jsonscan.ErrNotObject},
		{``, "", jsonscan.ErrSyntax},
		{`{`, "", jsonscan.ErrSyntax},
		{`{"a":1}{}`, "", jsonscan.ErrSyntax},
		{"{\"a\":\"\xff\"}", "", jsonscan.ErrSyntax},
		{`{'a':1}`, "", jsonscan.ErrSyntax},
	} {
		var got []string
		err := jsonscan.Object([]byte(c.in), func(name, value []byte) error {
			got = append(got, string(name)+"="+string(value))
			return nil
		})
		if !errors.Is(err, c.err) || strings.Join(got, " ") != c.want {
			t.Errorf("%q: %q, %v, want %q, %v", c.in, got, err, c.want, c.err)
		}
	}
}

func TestWalkEndsWithAnError(t *testing.T) {
	t.Parallel()
	stop, seen := errors.New("stop"), 0
	if err := jsonscan.Object([]byte(`{"a":1,"b":2}`), func(_, _ []byte) error { seen++; return stop }); err != stop || seen != 1 {
		t.Errorf("Object: %v after %d members", err, seen)
	}
	seen = 0
	if err := jsonscan.Array([]byte(`[1,2]`), func([]byte) error { seen++; return stop }); err != stop || seen != 1 {
		t.Errorf("Array: %v after %d elements", err, seen)
	}
}

func TestArray(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`[]`: "", ` [ 1 , "a,]" , [2] ,{"b":[]}]`: `1|"a,]"|[2]|{"b":[]}`, `[null]`: "null",
	} {
		var got []string
		err := jsonscan.Array([]byte(in), func(v []byte) error { got = append(got, string(v)); return nil })
		if err != nil || strings.Join(got, "|") != want {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "{}", "1", "[1,]", "[", "[\"\xff\"]"} {
		if err := jsonscan.Array([]byte(in), func([]byte) error { return nil }); err == nil {
			t.Errorf("%q: no error", in)
		}
	}
}

func TestStrings(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "plain", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "\u00fc\u20ac\U0001f600", "\u2028\u2029<>&", "a\xffb\xc3"} {
		b := jsonscan.AppendString([]byte("x"), s)[1:]
		want := strings.ToValidUTF8(s, "\ufffd")
		var std string
		if err := json.Unmarshal(b, &std); err != nil || std != want {
			t.Errorf("%q: %s reads as %q, %v", s, b, std, err)
		}
		if got, ok := jsonscan.String(b); !ok || got != want {
			t.Errorf("%q: String(%s) = %q, %v", s, b, got, ok)
		}
		if bytes.ContainsAny(b, "\n\r\u2028\u2029") {
			t.Errorf("%q: %q has a line break", s, b)
		}
		if !bytes.Equal(b, jsonscan.AppendString(nil, []byte(s))) {
			t.Errorf("%q: bytes and string differ", s)
		}
	}
	for _, raw := range []string{"", `"`, "1", "null", "{}"} {
		if _, ok := jsonscan.String([]byte(raw)); ok {
			t.Errorf("String(%s) is one", raw)
		}
	}
}

// FuzzObject holds the walk against encoding/json: the same texts are objects, and the last of equal
// names has the same value.
func FuzzObject(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":1,"b":[{"c":"}"}],"a":null}`, ` { "x" : "\u0061\"" } `, `[1]`, `{"a":1`, "{\"\xff\":1}",
		`{"op":"hello","version":1,"groups":["a","b"]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := make(map[string]json.RawMessage)
		err := jsonscan.Object(data, func(name, value []byte) error {
			if !json.Valid(value) {
				t.Fatalf("value %q is no JSON", value)
			}
			s, ok := jsonscan.String(append(append([]byte{'"'}, name...), '"'))
			if !ok {
				t.Fatalf("name %q is no string", name)
			}
			got[s] = bytes.Clone(value)
			return nil
		})
		var want map[string]json.RawMessage
		wantErr := json.Unmarshal(data, &want)
		if want == nil && wantErr == nil || !utf8.Valid(data) { // null, and what encoding/json repairs
			wantErr = jsonscan.ErrNotObject
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, encoding/json says %v", data, err, wantErr)
		}
		if err != nil {
			return
		}
		if len(got) != len(want) {
			t.Fatalf("%q: %d names, want %d", data, len(got), len(want))
		}
		for k, v := range want {
			if !bytes.Equal(bytes.TrimSpace(v), got[k]) {
				t.Fatalf("%q: %q is %s, want %s", data, k, got[k], v)
			}
		}
	})
}

func FuzzArray(f *testing.F) {
	for _, s := range []string{`[]`, `[1,"a,]",[2],{"b":[]}]`, `{}`, `[1,]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got [][]byte
		err := jsonscan.Array(data, func(v []byte) error { got = append(got, bytes.Clone(v)); return nil })
		var want []json.RawMessage
		wantErr := json.Unmarshal(data, &want)
		if want == nil && wantErr == nil || !utf8.Valid(data) {
			wantErr = jsonscan.ErrSyntax
		}
		if (err == nil) != (wantErr == nil) || err == nil && len(got) != len(want) {
			t.Fatalf("%q: %q, %v, encoding/json says %q, %v", data, got, err, want, wantErr)
		}
		for i := range got {
			if !bytes.Equal(got[i], bytes.TrimSpace(want[i])) {
				t.Fatalf("%q: element %d is %s, want %s", data, i, got[i], want[i])
			}
		}
	})
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\n\u2028\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := jsonscan.AppendString(nil, s)
		var std string
		if err := json.Unmarshal(b, &std); err != nil || std != strings.ToValidUTF8(s, "\ufffd") && std != string([]rune(s)) {
			t.Fatalf("%q: %s reads as %q, %v", s, b, std, err)
		}
		if got, ok := jsonscan.String(b); !ok || got != std {
			t.Fatalf("%q: String gives %q, %v", s, got, ok)
		}
	})
}
