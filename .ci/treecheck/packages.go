package main

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path"
	"strings"
)

// checkPackages reports packages without a package comment, and importable ones without an Example
// that runs (one with an Output comment). It answers how many packages it saw.
func (t *tree) checkPackages() (seen int) {
	for dir, files := range t.parse() {
		var code, tests []*ast.File
		for name, f := range files {
			if strings.HasSuffix(name, "_test.go") {
				tests = append(tests, f)
			} else {
				code = append(code, f)
			}
		}
		if len(code) == 0 {
			continue
		}
		seen++
		if !commented(code) {
			t.found(dir, 1, "package %s has no package comment", code[0].Name.Name)
		}
		if importable(dir, code[0].Name.Name) && !exemplified(tests) {
			t.found(dir, 1, "package %s has no Example with an Output comment", code[0].Name.Name)
		}
	}
	return seen
}

// parse reads every Go file, by folder.
func (t *tree) parse() map[string]map[string]*ast.File {
	fset := token.NewFileSet()
	byDir := map[string]map[string]*ast.File{}
	for _, name := range t.names {
		if path.Ext(name) != ".go" || strings.Contains(name, "testdata/") {
			continue
		}
		f, err := parser.ParseFile(fset, name, t.data[name], parser.ParseComments)
		if err != nil {
			t.found(name, 1, "%v", err)
			continue
		}
		dir := path.Dir(name)
		if byDir[dir] == nil {
			byDir[dir] = map[string]*ast.File{}
		}
		byDir[dir][name] = f
	}
	return byDir
}

func commented(files []*ast.File) bool {
	for _, f := range files {
		if f.Doc.Text() != "" {
			return true
		}
	}
	return false
}

// importable reports whether users import the package: e2e is a folder of tests.
func importable(dir, name string) bool {
	return name != "main" && !strings.Contains("/"+dir+"/", "/internal/") && !strings.HasPrefix(dir, "e2e/")
}

func exemplified(tests []*ast.File) bool {
	for _, e := range doc.Examples(tests...) {
		if e.Output != "" || e.EmptyOutput {
			return true
		}
	}
	return false
}
