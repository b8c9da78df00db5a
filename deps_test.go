package comm_test

import (
	"go/parser"
	"go/token"
	"io/fs"
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
	".":                {},
	"ws":               {module},
	"sse":              {module},
	"http":             {module, module + "/js"},
	"js":               {},
	"commtest":         {module},
	"examples/gateway": {module, module + "/http", module + "/sse", module + "/ws"},
	"examples/wsecho":  {module + "/ws"},
	"e2e/testgateway":  {module, module + "/http", module + "/js", module + "/sse", module + "/ws"},
	".ci/consumer":     {module, module + "/http", module + "/sse", module + "/ws"},
}

// TestArrows reads the imports of every file. Whatever comes from outside of this module must be of
// the standard library, in tests too: a user's go.sum follows them.
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
			t.Errorf("%s imports %s, which is not of the standard library", name, imported)
		case !own || test || strings.HasPrefix(imported, module+"/internal/"):
		case internal:
			t.Errorf("%s imports %s: internal packages import nothing of the module but each other", name, imported)
		case !slices.Contains(arrows[folder], imported):
			t.Errorf("%s imports %s, against the arrows", name, imported)
		}
	}
}

// The module requires nothing.
func TestNoRequirements(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "module " + module + "\n\ngo 1.26.0\n"; string(b) != want {
		t.Errorf("go.mod is %q, want %q", b, want)
	}
}
