package commhttp

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/anasamu/comm/internal/conf"
)

// maxUnseekable bounds the files of a file system that cannot seek (a zip), which are
// read into memory to be served.
const maxUnseekable = 32 << 20

// FileOption is a setting of [Files] and [Static].
type FileOption interface{ applyFiles(*files) error }

type fileOption func(*files) error

func (f fileOption) applyFiles(s *files) error { return f(s) }

// WithCacheControl sets the Cache-Control of every file, such as
// "public, max-age=31536000, immutable". The default is none.
func WithCacheControl(value string) FileOption {
	return fileOption(func(s *files) error {
		s.cacheControl = value
		return checkFieldValue("Cache-Control", value)
	})
}

// WithIndex names the file served for a directory. The default is index.html.
func WithIndex(name string) FileOption {
	return fileOption(func(s *files) error {
		s.index = name
		if !fs.ValidPath(name) || strings.Contains(name, "/") || !servable(name) {
			return fmt.Errorf("commhttp: index %q: must be the name of a file", name)
		}
		return nil
	})
}

// WithFallback names a file that is served, not to be cached without asking, for every
// path that is not there and has no extension: the page of an application that routes
// by itself. The default is none: such paths are 404.
func WithFallback(name string) FileOption {
	return fileOption(func(s *files) error {
		s.fallback = name
		if !servable(name) {
			return fmt.Errorf("commhttp: fallback %q: must be the path of a file, and no part of it may begin with a dot", name)
		}
		return nil
	})
}

// Files serves the files of fsys by the request's path, through [http.ServeContent]:
// with ranges, Last-Modified and ETag. Directories have their index file or are 404;
// they are not listed. So are names of which a part begins with a dot, and everything
// that is no regular file. Where there is a name.gz beside a file it is sent to
// clients that accept gzip. A file system whose files have no times is taken to be
// immutable, as an [embed.FS] is: its ETags are hashes, made once.
//
// For a directory of the machine see [OpenDir]; to serve under a prefix use [Static],
// or [http.StripPrefix].
func Files(fsys fs.FS, opts ...FileOption) (http.Handler, error) {
	s, err := newFiles(fsys, opts)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, strings.TrimPrefix(r.URL.Path, "/"))
	}), nil
}

// Dir is a directory of the machine, of which nothing outside can be reached, neither by
// dots nor by symbolic links ([os.Root]).
type Dir struct {
	fs.FS
	root *os.Root
}

// OpenDir opens a directory to be served. Close it when no handler uses it any more.
func OpenDir(name string) (*Dir, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("commhttp: %w", err)
	}
	return &Dir{root.FS(), root}, nil
}

// Close closes the directory; files already open are served to their end.
func (d *Dir) Close() error { return d.root.Close() }

// files serves one file system.
type files struct {
	fsys         fs.FS
	cacheControl string
	index        string
	fallback     string
	hashes       sync.Map // file name to ETag; as many as fsys has files
}

func newFiles(fsys fs.FS, opts []FileOption) (*files, error) {
	s := &files{fsys: fsys, index: "index.html"}
	var errs []error
	if fsys == nil {
		errs = append(errs, errors.New("commhttp: files: the file system is nil"))
	}
	errs = append(errs, conf.Apply("commhttp: files", opts, func(o FileOption) error { return o.applyFiles(s) }))
	return s, errors.Join(errs...)
}

// serve answers with the file of name, which is what a client sent.
func (s *files) serve(w http.ResponseWriter, r *http.Request, name string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		Refuse(w, r, http.StatusMethodNotAllowed, "files can be read with GET and HEAD")
		return
	}
	name, slash := strings.CutSuffix(name, "/")
	found, info := s.find(name, slash)
	switch {
	case info == nil && s.fallback != "" && (name == "" || servable(name)) && path.Ext(name) == "":
		if info = s.regular(s.fallback); info != nil {
			w.Header().Set("Cache-Control", "no-cache")
			s.serveFile(w, r, s.fallback, info)
			return
		}
		fallthrough
	case info == nil:
		Refuse(w, r, http.StatusNotFound, "there is no such file")
	case found != name && name != "" && !slash:
		redirectToDir(w, r, path.Base(name))
	default:
		if s.cacheControl != "" {
			w.Header().Set("Cache-Control", s.cacheControl)
		}
		s.serveFile(w, r, found, info)
	}
}

// find returns the file for a name: its own, or the index of its directory. The info
// is nil if there is none.
func (s *files) find(name string, slash bool) (string, fs.FileInfo) {
	if name == "" {
		if slash {
			return "", nil // the path was "//"
		}
		return s.index, s.regular(s.index)
	}
	if !servable(name) {
		return "", nil
	}
	info, err := fs.Stat(s.fsys, name)
	switch {
	case err != nil:
	case info.IsDir():
		index := path.Join(name, s.index)
		return index, s.regular(index)
	case info.Mode().IsRegular() && !slash:
		return name, info
	}
	return "", nil
}

// regular asks before opening, which blocks on a named pipe.
func (s *files) regular(name string) fs.FileInfo {
	info, err := fs.Stat(s.fsys, name)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return info
}

// servable reports whether a name may be looked for: within the file system, and
// hidden nowhere.
func servable(name string) bool {
	return fs.ValidPath(name) && !strings.HasPrefix(name, ".") && !strings.Contains(name, "/.") &&
		!strings.ContainsAny(name, "\\\x00")
}

// redirectToDir adds the slash that makes relative links in an index work. The target
// is relative, so that no path can turn it into another host's.
func redirectToDir(w http.ResponseWriter, r *http.Request, base string) {
	target := "./" + url.PathEscape(base) + "/"
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusMovedPermanently)
}

func (s *files) serveFile(w http.ResponseWriter, r *http.Request, name string, info fs.FileInfo) {
	source, sourceInfo, encoded := s.variant(w.Header(), r, name, info)
	f, err := s.open(source)
	if err != nil {
		Refuse(w, r, http.StatusNotFound, "there is no such file")
		return
	}
	defer f.Close()
	tag, err := s.tag(source, sourceInfo, f)
	if err != nil {
		Refuse(w, r, http.StatusInternalServerError, "the file cannot be read")
		return
	}
	h := w.Header()
	h.Set("Etag", tag)
	if contentType := mime.TypeByExtension(path.Ext(name)); contentType != "" {
		h.Set("Content-Type", contentType)
	} else if encoded {
		h.Set("Content-Type", "application/octet-stream")
	}
	if encoded {
		h.Set("Content-Encoding", "gzip")
	}
	http.ServeContent(w, r, name, sourceInfo.ModTime(), f)
}

// variant picks the compressed file where there is one and the client takes it.
func (s *files) variant(h http.Header, r *http.Request, name string, info fs.FileInfo) (string, fs.FileInfo, bool) {
	compressed := s.regular(name + ".gz")
	if compressed == nil {
		return name, info, false
	}
	addVary(h, "Accept-Encoding")
	if r.Header.Get("Range") != "" || negotiate(r.Header["Accept-Encoding"]) == codingIdentity {
		return name, info, false
	}
	return name + ".gz", compressed, true
}

// seekFile is what can be served.
type seekFile interface {
	io.ReadSeeker
	io.Closer
}

func (s *files) open(name string) (seekFile, error) {
	f, err := s.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	if seekable, ok := f.(seekFile); ok {
		return seekable, nil
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxUnseekable+1))
	if err == nil && len(content) > maxUnseekable {
		err = fmt.Errorf("commhttp: %s: cannot seek, and is larger than %d bytes", name, maxUnseekable)
	}
	return inMemory{bytes.NewReader(content)}, err
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

// tag makes the ETag: of time and size, or of the content where there is no time.
func (s *files) tag(name string, info fs.FileInfo, f io.ReadSeeker) (string, error) {
	if t := info.ModTime(); !t.IsZero() && !t.Equal(time.Unix(0, 0)) {
		return fmt.Sprintf(`"%x-%x"`, t.UnixNano(), info.Size()), nil
	}
	if tag, ok := s.hashes.Load(name); ok {
		return tag.(string), nil
	}
	hash := sha256.New()
	_, err := io.Copy(hash, f)
	_, seekErr := f.Seek(0, io.SeekStart)
	if err = cmp.Or(err, seekErr); err != nil {
		return "", err
	}
	tag := `"` + hex.EncodeToString(hash.Sum(nil)[:16]) + `"`
	s.hashes.Store(name, tag)
	return tag, nil
}
