package conf_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/anasamu/comm/internal/conf"
)

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		"":                          "1:1: not valid JSON: want a value, found the end",
		"[]":                        "1:1: want an object, found a list",
		"null":                      "1:1: want an object, found null",
		`{} {}`:                     "1:4: not valid JSON: want nothing after the document, found '{'",
		`{"a":1,}`:                  "1:8: not valid JSON: want a key in quotes, found '}'",
		`{"a":[1,]}`:                "1:9: a[1]: not valid JSON: want a value, found ']'",
		`{"a" 1}`:                   "1:6: a: not valid JSON: want ':' after the key, found '1'",
		`{"a":1 "b":2}`:             "1:8: not valid JSON: want ',' or '}', found '\"'",
		`{a:1}`:                     "1:2: not valid JSON: want a key in quotes, found 'a'",
		`{"a":01}`:                  "1:8: a: not valid JSON: want a number without leading zeros",
		`{"a":1.}`:                  "1:8: a: not valid JSON: want a digit, found '}'",
		`{"a":-}`:                   "1:7: a: not valid JSON: want a digit, found '}'",
		`{"a":1e}`:                  "1:8: a: not valid JSON: want a digit, found '}'",
		`{"a":"`:                    "1:7: a: not valid JSON: want '\"' at the end of the string, found the end",
		"{\"a\":\"\n\"}":            `1:7: a: not valid JSON: control character in a string, want \u000a`,
		"{\"a\":\"\xff\"}":          "1:7: a: not valid JSON: invalid UTF-8 in a string",
		`{"a":"\x"}`:                "1:8: a: not valid JSON: want an escape, found 'x'",
		`{"a":"\u12g4"}`:            "1:11: a: not valid JSON: want four hexadecimal digits, found 'g'",
		`{"a":"\ud800"}`:            "1:13: a: not valid JSON: half a surrogate pair in a string",
		`{"a":"\ud800\u0041"}`:      "1:19: a: not valid JSON: half a surrogate pair in a string",
		`{"a":nul}`:                 "1:6: a: not valid JSON: want a value, found 'n'",
		`{"a":{"b":1,"c":2,"b":3}}`: "1:19: a.b: duplicate key, first at line 1",
		`{"a":1,"\u0061":2}`:        "1:8: a: duplicate key, first at line 1",
		"{\n\"äöü\" 1}":             "2:7: äöü: not valid JSON: want ':' after the key, found '1'",
		"// x\n{}":                  "1:1: not valid JSON: want a value, found '/'",
	} {
		_, err := conf.Parse("f", []byte(document))
		if err == nil || err.Error() != "f:"+want {
			t.Errorf("%q:\n got %v\nwant f:%s", document, err, want)
		}
	}
	deep := `{"a":` + strings.Repeat("[", conf.MaxDepth) + strings.Repeat("]", conf.MaxDepth) + "}"
	if _, err := conf.Parse("f", []byte(deep)); !errors.Is(err, conf.ErrSyntax) {
		t.Errorf("too deep: %v", err)
	}
}

func TestParseReads(t *testing.T) {
	t.Parallel()
	s, err := conf.Parse("f", []byte("\ufeff{ \"host\" : \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00ä\" }\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	var c config
	if err := s.Decode(&c); err != nil {
		t.Fatal(err)
	}
	same(t, "string", c.Host, "\"\\/\b\f\n\r\té😀ä")
	var floats struct {
		F []float64 `json:"f"`
	}
	if err := parse(t, `{"f":[0,-0,10.25,1e3,1E-2,-1.5e+1]}`).Decode(&floats); err != nil {
		t.Fatal(err)
	}
	same(t, "numbers", floats.F[2:], []float64{10.25, 1000, .01, -15})
}

// FuzzParse holds Parse against encoding/json, which accepts more, and decodes what it reads.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"host":"h","port":8080,"timeout":"30s","tls":{"cert":"c"},"origins":["a"],"optional":null}`,
		`{"a":1,"a":2}`, `{"buffer":"4MiB","ratio":-0.5e-1,"client":{"key":"\ud83d\ude00"}}`, `{} x`, `[]`, "\ufeff{}",
		`{"proxies":["10.0.0.0/8"],"enabled":true,"small":-129}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := conf.Parse("f", data)
		for _, e := range conf.Errors(err) {
			checkError(t, e, data)
		}
		plain := strings.TrimPrefix(string(data), "\ufeff")
		var anything map[string]any
		valid := json.Unmarshal([]byte(plain), &anything) == nil && anything != nil
		if err == nil && !valid {
			t.Errorf("read %q, which is no JSON object", data)
		}
		if err != nil && valid && utf8.Valid(data) && !stricter(err) {
			t.Errorf("refused %q: %v", data, err)
		}
		c := defaults()
		decodeErr := s.Decode(&c)
		for _, e := range conf.Errors(decodeErr) {
			checkError(t, e, data)
		}
		if checkErr := conf.Check("check", &c); checkErr != nil {
			t.Errorf("%q decoded past a limit: %v", data, checkErr)
		}
	})
}

// stricter reports whether err is what encoding/json lets pass.
func stricter(err error) bool {
	return errors.Is(err, conf.ErrDuplicate) || strings.Contains(err.Error(), "surrogate") || strings.Contains(err.Error(), "nested deeper")
}

func checkError(t *testing.T, e *conf.Error, data []byte) {
	line := strings.Count(string(data), "\n") + 1
	if e.Line < 1 || e.Line > line || e.Column < 1 || e.Column > len(data)+1 || strings.Contains(e.Error(), "\n") || len(e.Error()) > 4096 {
		t.Errorf("%q: bad error %+v", data, e)
	}
}
