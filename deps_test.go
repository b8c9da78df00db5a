package comm_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/anasamu/comm"

// arrows are the packages of this module that each folder may import besides internal ones; a folder
// that is not here may import none. They run one way: user, protocol, comm, internal, standard library.
var arrows = map[string][]string{
	".":                   {},
	"ws":                  {module},
	"sse":                 {module},
	"http":                {module, module + "/js"},
	"js":                  {},
	"graphql":             {module, module + "/sse", module + "/ws"},
	"grpc":                {module, module + "/grpc/comm/v1", module + "/grpc/internal/link"},
	"grpc/channelz":       {module + "/grpc/internal/link"},
	"grpc/internal/link":  {},
	"grpc/comm/v1":        {},
	"quic":                {module},
	"commtest":            {module},
	"examples/graphql":    {module, module + "/graphql"},
	"examples/gateway":    {module, module + "/graphql", module + "/grpc", module + "/http", module + "/quic", module + "/sse", module + "/ws"},
	"examples/grpc":       {module, module + "/grpc", module + "/grpc/comm/v1"},
	"examples/wsecho":     {module + "/ws"},
	"examples/quic":       {module, module + "/quic"},
	"e2e/graphql/subject": {module, module + "/graphql"},
	"e2e/testgateway":     {module, module + "/http", module + "/js", module + "/sse", module + "/ws"},
	".ci/consumer":        {module, module + "/http", module + "/sse", module + "/ws"},
}

// outside are the folders that may import from another module, and from which. A user's go.sum follows
// imports, tests included: whoever uses none of these folders needs nothing but this module.
var outside = map[string][]string{
	"graphql":            {"github.com/vektah/gqlparser/v2"},
	"grpc":               {"google.golang.org/grpc", "google.golang.org/protobuf", "golang.org/x/net"},
	"grpc/channelz":      {"google.golang.org/grpc"},
	"grpc/comm/v1":       {"google.golang.org/grpc", "google.golang.org/protobuf"},
	"grpc/internal/link": {"google.golang.org/grpc"},
	"quic":               {"github.com/quic-go/quic-go", "golang.org/x/net"},
	"examples/grpc":      {"google.golang.org/grpc"},
}

// TestArrows reads the imports of every file.
func TestArrows(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules" || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() && name != "." && isFile(filepath.Join(name, "go.mod")): // another module
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(name, ".go"):
			checkImports(t, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

func checkImports(t *testing.T, name string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	folder, test := path.Dir(name), strings.HasSuffix(name, "_test.go")
	internal := folder == "internal" || strings.HasPrefix(folder, "internal/")
	for _, spec := range f.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		own := imported == module || strings.HasPrefix(imported, module+"/")
		switch {
		case !own && strings.Contains(strings.Split(imported, "/")[0], "."):
			if !slices.ContainsFunc(outside[folder], func(from string) bool { return imported == from || strings.HasPrefix(imported, from+"/") }) {
				t.Errorf("%s imports %s, which is not of the standard library", name, imported)
			}
		case !own || test || strings.HasPrefix(imported, module+"/internal/"):
		case internal:
			t.Errorf("%s imports %s: internal packages import nothing of the module but each other", name, imported)
		case !slices.Contains(arrows[folder], imported):
			t.Errorf("%s imports %s, against the arrows", name, imported)
		}
	}
}

// The module requires what the folders of outside are for, and what that requires itself.
func TestRequirements(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var direct []string
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(strings.TrimPrefix(line, "require"))
		if len(fields) >= 2 && strings.Contains(fields[0], ".") && !strings.Contains(line, "// indirect") {
			direct = append(direct, fields[0])
		}
	}
	want := slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Values(outside))...)))
	slices.Sort(direct)
	if want = slices.Compact(want); !slices.Equal(direct, want) {
		t.Errorf("go.mod requires %q, want %q", direct, want)
	}
	if strings.Contains(string(b), "replace") {
		t.Error("go.mod replaces a module, which a user's does not")
	}
}

// The root and what it imports are what every user links: none of it may lead to another module.
func TestUsersOfTheCore(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{".", "ws", "sse", "http", "js", "commtest"} {
		if len(outside[folder]) > 0 {
			t.Errorf("%s imports %s", folder, outside[folder])
		}
		for _, imported := range arrows[folder] {
			if to := strings.TrimPrefix(strings.TrimPrefix(imported, module), "/"); len(outside[to]) > 0 {
				t.Errorf("%s imports %s, which imports %s", folder, imported, outside[to])
			}
		}
	}
}
