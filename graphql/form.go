package graphql

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	form "mime/multipart"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
)

// The GraphQL multipart request specification (github.com/jaydenseric/graphql-multipart-request-spec): a form
// whose field "operations" is the body that would be sent without files, with null for each of them, whose field
// "map" says which files go where, and whose other fields are the files.

// UploadLimits bound what [WithUploads] takes with one request. A zero field is its default; a negative one is
// refused.
type UploadLimits struct {
	// Files bounds the files. The default is 10.
	Files int
	// FileBytes bounds each of them. The default is 10 MiB.
	FileBytes int64
	// TotalBytes bounds the whole body. The default is 50 MiB.
	TotalBytes int64
	// MapEntries bounds the places of the variables that files go to; one file may go to several. The default
	// is 100.
	MapEntries int
	// Memory bounds what of a request's files is held in memory; what is more goes to temporary files. The
	// default is 1 MiB.
	Memory int64
	// Dir is where temporary files are made. The default is that of [os.TempDir].
	Dir string
}

func defaultUploadLimits() UploadLimits {
	return UploadLimits{Files: 10, FileBytes: 10 << 20, TotalBytes: 50 << 20, MapEntries: 100, Memory: 1 << 20}
}

// WithUploads serves multipart requests, which bring files for the scalar Upload; see [Upload]. By default
// they are refused with 415.
//
// A form is what any page can have a visitor's browser send to any server without being asked. Such a request
// must therefore have one of the headers GraphQL-Require-Preflight and Apollo-Require-Preflight, with any value:
// a browser asks first whether a page may send it. Without one it is refused with 403.
func WithUploads(l UploadLimits) HandlerOption {
	return handlerOption(func(h *Handler) error {
		d := defaultUploadLimits()
		for _, f := range []struct {
			name      string
			set, dflt int64
		}{
			{"Files", int64(l.Files), int64(d.Files)},
			{"FileBytes", l.FileBytes, d.FileBytes},
			{"TotalBytes", l.TotalBytes, d.TotalBytes},
			{"MapEntries", int64(l.MapEntries), int64(d.MapEntries)},
			{"Memory", l.Memory, d.Memory},
		} {
			if f.set < 0 {
				return fmt.Errorf("graphql: WithUploads: %s is %d: 1 or more is allowed, or 0 for the default of %d", f.name, f.set, f.dflt)
			}
		}
		l.Files, l.MapEntries = cmp.Or(l.Files, d.Files), cmp.Or(l.MapEntries, d.MapEntries)
		l.FileBytes, l.TotalBytes, l.Memory = cmp.Or(l.FileBytes, d.FileBytes), cmp.Or(l.TotalBytes, d.TotalBytes), cmp.Or(l.Memory, d.Memory)
		h.uploads = &l
		return nil
	})
}

const mediaForm = "multipart/form-data"

func isForm(header http.Header) bool {
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && media == mediaForm
}

// preflightHeaders are those that a page cannot send to another origin without being asked for it.
var preflightHeaders = []string{"Graphql-Require-Preflight", "Apollo-Require-Preflight"}

// uploading reads one multipart request.
type uploading struct {
	x      *exchange
	limits *UploadLimits

	operations []byte
	places     map[string][]string // of the map: the places of each file
	left       int64               // of Memory
	files      []*Upload
}

// formError is what is wrong with a form, and the status to tell it with.
type formError struct {
	status int
	text   string
}

func (e *formError) Error() string { return e.text }

func badForm(format string, args ...any) error {
	return &formError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// read appends the field operations to b and leaves the files with the exchange; false means that the request
// has been answered.
func (u *uploading) read(b []byte) ([]byte, bool) {
	err := u.form(b)
	if err == nil {
		return u.operations, true
	}
	if bad, ok := errors.AsType[*formError](err); ok {
		u.x.refuse(bad.status, bad.text)
	} else if _, large := errors.AsType[*http.MaxBytesError](err); large {
		u.x.refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is larger than %d bytes.", u.limits.TotalBytes))
	} else if errors.Is(err, errSpill) {
		u.x.h.s.log().ErrorContext(u.x.r.Context(), "graphql: an upload cannot be stored", "error", err)
		u.x.refuse(http.StatusInternalServerError, "internal error")
	} else {
		u.x.refuse(http.StatusBadRequest, "The form cannot be read: its parts do not end, or have no proper headers.")
	}
	return b, false
}

func (u *uploading) form(b []byte) error {
	r := u.x.r
	if !slices.ContainsFunc(preflightHeaders, func(h string) bool { return r.Header.Get(h) != "" }) {
		return &formError{http.StatusForbidden, "A multipart request needs the header GraphQL-Require-Preflight or Apollo-Require-Preflight, with any value, so that no page of another origin can send it unasked."}
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return &formError{http.StatusUnsupportedMediaType, "The Content-Encoding " + e + " is not read; send the body as it is."}
	}
	r.Body = http.MaxBytesReader(u.x.w, r.Body, u.limits.TotalBytes)
	parts, err := r.MultipartReader()
	if err != nil {
		return badForm("The Content-Type %s needs a boundary.", mediaForm)
	}
	u.left = u.limits.Memory
	u.x.files = make(map[string]*Upload)
	for {
		p, err := parts.NextPart()
		if err == io.EOF {
			return u.complete()
		}
		if err == nil {
			err = u.part(p, b)
		}
		if err != nil {
			return err
		}
	}
}

// part reads one part; the specification has an order for them.
func (u *uploading) part(p *form.Part, b []byte) (err error) {
	switch name := p.FormName(); {
	case u.operations == nil && name != "operations":
		return badForm("The first field must be \"operations\", not %q.", clip(name))
	case u.operations == nil:
		if u.operations, err = u.field(b, p); err == nil && len(u.operations) == 0 {
			return badForm("The field \"operations\" is empty.")
		}
		return err
	case u.places == nil && name != "map":
		return badForm("The second field must be \"map\", not %q.", clip(name))
	case u.places == nil:
		text, err := u.field(nil, p)
		if err != nil {
			return err
		}
		if u.places, err = parseMap(text, u.limits); err != nil {
			return err
		}
		return u.checkPlaces()
	default:
		return u.file(name, p)
	}
}

// clip keeps a name of the client's short in an error.
func clip(s string) string { return shorten(s[:min(len(s), 100)]) }

// field reads a field that is no file.
func (u *uploading) field(b []byte, p *form.Part) ([]byte, error) {
	most := u.x.h.maxBody
	start := len(b)
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := p.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if len(b)-start > most {
			return nil, &formError{http.StatusRequestEntityTooLarge, fmt.Sprintf("The field %q is larger than %d bytes.", p.FormName(), most)}
		}
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// parseMap reads the field map: for each file the places that it goes to.
func parseMap(text []byte, l *UploadLimits) (map[string][]string, error) {
	var m map[string][]string
	if err := json.Unmarshal(text, &m); err != nil || m == nil {
		return nil, badForm("The field \"map\" must be a JSON object with a list of places for each file, as {\"0\":[\"variables.file\"]}.")
	}
	if len(m) > l.Files {
		return nil, &formError{http.StatusRequestEntityTooLarge, fmt.Sprintf("The map has %d files; %d are allowed.", len(m), l.Files)}
	}
	entries := 0
	seen := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if len(m[name]) == 0 {
			return nil, badForm("The map has no place for the file %q.", clip(name))
		}
		if entries += len(m[name]); entries > l.MapEntries {
			return nil, &formError{http.StatusRequestEntityTooLarge, fmt.Sprintf("The map has more than %d places.", l.MapEntries)}
		}
		for _, path := range m[name] {
			if seen[path] {
				return nil, badForm("The map has the place %q twice.", clip(path))
			}
			seen[path] = true
		}
	}
	return m, nil
}

// checkPlaces holds the map against the operations before any file is read.
func (u *uploading) checkPlaces() error {
	var ops any
	if err := json.Unmarshal(u.operations, &ops); err != nil {
		return badForm("The field \"operations\" is not JSON.")
	}
	for _, name := range slices.Sorted(maps.Keys(u.places)) {
		for _, path := range u.places[name] {
			rest := path
			if _, batch := ops.([]any); batch {
				index, after, _ := strings.Cut(path, ".")
				if _, err := strconv.Atoi(index); err == nil {
					rest = after
				}
			}
			if !strings.HasPrefix(rest, variablesPrefix) {
				return badForm("The map has the place %q; all are in the variables, as \"variables.file\".", clip(path))
			}
			if err := placeFile(ops, strings.Split(path, "."), new(Upload)); err != nil {
				return badForm("The map has the place %q, which is not in the operations: %s.", clip(path), err)
			}
		}
	}
	return nil
}

// file reads a file.
func (u *uploading) file(name string, p *form.Part) error {
	places, ok := u.places[name]
	switch {
	case !ok:
		return badForm("The file %q is not in the map.", clip(name))
	case places == nil:
		return badForm("The file %q is there twice.", clip(name))
	case p.FileName() == "":
		return badForm("The field %q is no file: it has no filename.", clip(name))
	}
	f := &Upload{Filename: p.FileName(), ContentType: p.Header.Get("Content-Type")}
	u.files = append(u.files, f)
	if err := u.store(f, name, p); err != nil {
		return err
	}
	for _, path := range places {
		u.x.files[path] = f
	}
	u.places[name] = nil
	return nil
}

// errSpill marks what goes wrong with a temporary file.
var errSpill = errors.New("a temporary file")

// store reads a file into memory as long as there is room, and else into a temporary file.
func (u *uploading) store(f *Upload, name string, p io.Reader) error {
	most := u.limits.FileBytes
	p = io.LimitReader(p, most+1)
	var err error
	if f.data, err = io.ReadAll(io.LimitReader(p, u.left)); err != nil {
		return err
	}
	f.Size = int64(len(f.data))
	if f.Size < u.left {
		u.left -= f.Size
	} else if err := u.spill(f, p); err != nil {
		return err
	}
	if f.Size > most {
		return &formError{http.StatusRequestEntityTooLarge, fmt.Sprintf("The file %q is larger than %d bytes.", clip(name), most)}
	}
	return nil
}

// spill moves what was read of a file into a temporary one, and the rest after it.
func (u *uploading) spill(f *Upload, rest io.Reader) error {
	tmp, err := os.CreateTemp(u.limits.Dir, "graphql-upload-*")
	if err != nil {
		return errors.Join(errSpill, err)
	}
	f.path = tmp.Name()
	_, err = tmp.Write(f.data)
	f.data = nil
	if err != nil {
		return errors.Join(errSpill, err, tmp.Close())
	}
	w := &diskWriter{f: tmp}
	n, err := io.Copy(w, rest)
	f.Size += n
	if closed := tmp.Close(); w.err != nil || closed != nil {
		return errors.Join(errSpill, w.err, closed)
	}
	return err
}

// diskWriter tells an error of the disk from one of the client.
type diskWriter struct {
	f   *os.File
	err error
}

func (w *diskWriter) Write(b []byte) (n int, err error) {
	if n, err = w.f.Write(b); err != nil {
		w.err = err
	}
	return n, err
}

// complete looks for what is missing at the end of the form.
func (u *uploading) complete() error {
	switch {
	case u.operations == nil:
		return badForm("The field \"operations\" is missing.")
	case u.places == nil:
		return badForm("The field \"map\" is missing.")
	}
	for _, name := range slices.Sorted(maps.Keys(u.places)) {
		if u.places[name] != nil {
			return badForm("The file %q of the map is missing.", clip(name))
		}
	}
	return nil
}

// remove gives back what the files occupy.
func (u *uploading) remove() {
	for _, f := range u.files {
		f.remove()
	}
}
