package comm_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anasamu/comm"
)

// codeConstants are the values of the constants of type Code, as errors.go declares them.
func codeConstants(t *testing.T) (codes []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Code" {
			code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, code)
		}
		return true
	})
	return codes
}

// PROTOCOL.md lists every code that this package has, and no other.
func TestErrorCodesAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n### Error codes\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(section, -1) {
		documented = append(documented, row[1])
	}
	codes := codeConstants(t)
	if len(codes) < 10 {
		t.Fatalf("%d codes in errors.go", len(codes))
	}
	same(t, "codes in PROTOCOL.md", documented, codes)
}

// What clients are told is a documented code and a text that names neither this package nor anything internal.
func TestTextsOnTheWire(t *testing.T) {
	t.Parallel()
	_, badPosition := comm.ParsePosition("lobby")
	_, badTarget := comm.ParseTarget("lobby")
	_, badMessage := comm.NewMessage("", nil)
	codes := codeConstants(t)
	for _, tt := range []struct {
		err  error
		want string
	}{
		{comm.ErrForbidden, "forbidden: forbidden"},
		{fmt.Errorf("%w: at 192.0.2.7", comm.ErrForbidden), "forbidden: forbidden"},
		{comm.ErrOrigin, "forbidden: origin not allowed"},
		{comm.ErrUnauthenticated, "unauthenticated: unauthenticated"},
		{comm.ErrNotFound, "not_found: not found"},
		{badTarget, "not_found: no target"},
		{comm.ErrNoHandler, "unknown_type: no handler for this message type"},
		{comm.ErrTooManyLogs, "limit: too many logs on one connection"},
		{comm.ErrClosed, "closing: closed"},
		{comm.CloseReason{Kind: comm.ReasonDrain}, "closing: closed"},
		{comm.ErrHandlerTimeout, "timeout: the handler took too long"},
		{errors.New("no database at 192.0.2.7"), "internal: internal error"},
		{fmt.Errorf("database: %w", context.DeadlineExceeded), "timeout: no answer in time"},
		{fmt.Errorf("database: %w", os.ErrDeadlineExceeded), "internal: internal error"},
		{badMessage, `bad_message: message: type "": allowed is 1 to 128 bytes of UTF-8 without control characters`},
		{&comm.LimitError{Limit: "groups per connection", Max: 64, Retry: time.Second}, "limit: groups per connection: at most 64"},
		{&comm.PeerError{Code: "sold_out", Message: "none is left"}, "sold_out: none is left"},
		{&comm.PeerError{Code: comm.CodeBadPosition, Message: badPosition.Error()}, `bad_position: position entry "lobby": allowed is log@epoch:offset`},
		{&comm.FrameError{Code: comm.CodeBadFrame, Text: "not a JSON object"}, "bad_frame: not a JSON object"},
	} {
		f := comm.RefusalFrame("", tt.err)
		same(t, fmt.Sprint(tt.err), string(f.Code)+": "+f.Text, tt.want)
		if f.Code != "sold_out" && !slices.Contains(codes, string(f.Code)) {
			t.Errorf("%v is told with the code %q", tt.err, f.Code)
		}
	}
}
