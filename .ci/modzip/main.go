// Command modzip packs a tree as a version of a Go module, in the layout of a module proxy:
//
//	git archive HEAD >tree.tar
//	go run .ci/modzip/*.go -module example.com/m -version v1.2.3 -proxy DIR tree.tar
//	GOPROXY=file://DIR go get example.com/m@v1.2.3
//
// It follows https://go.dev/ref/mod#zip-files: nested modules, vendored packages and everything that is
// no regular file stay out, names are those that every file system takes, sizes are limited. It has
// nothing but the standard library, so that it adds no requirement to the module it packs.
package main

import (
	"archive/tar"
	"archive/zip"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	maxGoMod  = 16 << 20 // the go command's own limits
	maxModule = 500 << 20
	maxWanted = 8 << 20 // this module's: more means that something got in that nobody needs
)

type file struct {
	name string
	data []byte
}

func main() {
	module := flag.String("module", "", "module path")
	version := flag.String("version", "", "version, such as v1.2.3")
	proxy := flag.String("proxy", "", "folder of the proxy, made if need be")
	flag.Parse()
	if *module == "" || *version == "" || *proxy == "" || flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := pack(*module, *version, *proxy, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "modzip:", err)
		os.Exit(1)
	}
}

func pack(module, version, proxy, archive string) error {
	all, err := read(archive)
	if err != nil {
		return err
	}
	files := choose(all)
	if err := check(files); err != nil {
		return err
	}
	dir := filepath.Join(proxy, filepath.FromSlash(escape(module)), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	zipName := filepath.Join(dir, escape(version)+".zip")
	if err := writeZip(zipName, module+"@"+version+"/", files); err != nil {
		return err
	}
	if err := writeFacts(dir, version, files); err != nil {
		return err
	}
	return report(zipName, len(all), files)
}

// read takes the regular files out of a tar.
func read(archive string) ([]file, error) {
	f, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var files []file
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", archive, err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", archive, h.Name, err)
		}
		files = append(files, file{path.Clean(h.Name), data})
	}
}

// choose leaves out what belongs to other modules.
func choose(all []file) []file {
	nested := map[string]bool{}
	for _, f := range all {
		if dir, base := path.Split(f.name); base == "go.mod" && dir != "" {
			nested[path.Clean(dir)] = true
		}
	}
	outside := func(f file) bool {
		for dir := path.Dir(f.name); dir != "."; dir = path.Dir(dir) {
			if nested[dir] || path.Base(dir) == "vendor" {
				return true
			}
		}
		return false
	}
	return slices.DeleteFunc(slices.Clone(all), outside)
}

// check reports every file that a module zip may not hold.
func check(files []file) error {
	var errs []error
	total, folded := 0, map[string]string{}
	for _, f := range files {
		total += len(f.data)
		if other, taken := folded[strings.ToLower(f.name)]; taken {
			errs = append(errs, fmt.Errorf("%s and %s differ only in case", other, f.name))
		}
		folded[strings.ToLower(f.name)] = f.name
		if strings.ContainsAny(f.name, "\"'*<>?`|\\:\x00\n") || strings.HasSuffix(f.name, ".") {
			errs = append(errs, fmt.Errorf("%q is a name that not every file system takes", f.name))
		}
		if f.name == "go.mod" && len(f.data) > maxGoMod {
			errs = append(errs, fmt.Errorf("go.mod has %d bytes, at most %d are allowed", len(f.data), maxGoMod))
		}
	}
	for _, must := range []string{"go.mod", "LICENSE", "README.md"} {
		if folded[strings.ToLower(must)] != must {
			errs = append(errs, fmt.Errorf("%s is missing", must))
		}
	}
	if total > min(maxModule, maxWanted) {
		errs = append(errs, fmt.Errorf("the files have %d bytes, at most %d are wanted", total, maxWanted))
	}
	return errors.Join(errs...)
}

func writeZip(name, prefix string, files []file) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z := zip.NewWriter(f)
	for _, file := range files {
		w, err := z.Create(prefix + file.name)
		if err != nil {
			return err
		}
		if _, err := w.Write(file.data); err != nil {
			return err
		}
	}
	return z.Close()
}

// writeFacts writes what a proxy answers beside the zip: the list of versions, and go.mod and the time
// of this one.
func writeFacts(dir, version string, files []file) error {
	goMod := files[slices.IndexFunc(files, func(f file) bool { return f.name == "go.mod" })].data
	info := fmt.Sprintf("{\"Version\":%q,\"Time\":%q}\n", version, time.Now().UTC().Format(time.RFC3339))
	return errors.Join(
		os.WriteFile(filepath.Join(dir, escape(version)+".mod"), goMod, 0o644),
		os.WriteFile(filepath.Join(dir, escape(version)+".info"), []byte(info), 0o644),
		os.WriteFile(filepath.Join(dir, "list"), []byte(version+"\n"), 0o644),
	)
}

// escape writes capitals as "!" and the small letter, as proxies do
// (https://go.dev/ref/mod#goproxy-protocol).
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if 'A' <= r && r <= 'Z' {
			b.WriteByte('!')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// report says how large the module is, and where: one line for each folder at the top.
func report(zipName string, all int, files []file) error {
	st, err := os.Stat(zipName)
	if err != nil {
		return err
	}
	type folder struct {
		name         string
		count, bytes int
	}
	byName, total := map[string]folder{}, 0
	for _, f := range files {
		name, _, nested := strings.Cut(f.name, "/")
		if !nested {
			name = "."
		}
		d := byName[name]
		byName[name] = folder{name, d.count + 1, d.bytes + len(f.data)}
		total += len(f.data)
	}
	fmt.Printf("module zip: %d bytes, %d of %d files with %d bytes\n", st.Size(), len(files), all, total)
	var folders []folder
	for _, d := range byName {
		folders = append(folders, d)
	}
	slices.SortFunc(folders, func(a, b folder) int { return cmp.Compare(b.bytes, a.bytes) })
	for _, d := range folders {
		fmt.Printf("  %8d bytes %4d files  %s\n", d.bytes, d.count, d.name)
	}
	return nil
}
