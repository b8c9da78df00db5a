package graphql

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Upload is a file that came with a request: the value of the scalar Upload, which a schema declares by
// "scalar Upload" and nothing else. Arguments and input fields of it are *Upload in Go, nil for null. It can
// only be given as a variable. It is there until the request is answered.
//
// Name and type are what the client says: never a path to write to, nor to be believed.
type Upload struct {
	// Filename is without a directory.
	Filename string
	// ContentType is a media type, or empty.
	ContentType string
	// Size is in bytes.
	Size int64

	mu   sync.Mutex // guards the fields below
	data []byte     // unless it is in a file
	path string
	gone bool
}

// NewUpload makes an Upload of what is in memory, for tests and for transports of one's own; see
// [Request].Files. The data is not copied.
func NewUpload(filename, contentType string, data []byte) *Upload {
	return &Upload{Filename: filename, ContentType: contentType, Size: int64(len(data)), data: data}
}

// Open opens the file for reading from its beginning. It may be called several times, also at once; the caller
// closes what it gets. Once the request is answered the error is [os.ErrClosed].
func (u *Upload) Open() (io.ReadSeekCloser, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.gone:
		return nil, fmt.Errorf("graphql: the upload of an answered request: %w", os.ErrClosed)
	case u.path != "":
		return os.Open(u.path)
	}
	return inMemory{bytes.NewReader(u.data)}, nil
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

// String names the file, as errors show it.
func (u *Upload) String() string { return "the file " + strconv.Quote(u.Filename) }

func (u *Upload) remove() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.gone, u.data = true, nil
	if u.path != "" {
		_ = os.Remove(u.path) // what can be wrong is that somebody was faster
	}
}

// bindUpload binds the scalar, unless the user has one of that name.
func (b *builder) bindUpload(t *typeDef) {
	t.scalar = &scalarBinding{
		typ: reflect.TypeFor[*Upload](),
		parse: func(v any) (any, error) {
			if u, ok := v.(*Upload); ok {
				return u, nil
			}
			return nil, coercionf("Upload can only be a file of a multipart request.")
		},
		write: func(b []byte, _ reflect.Value) ([]byte, error) {
			return b, &Error{Message: "Upload cannot be an output."}
		},
	}
}

// placeFiles puts files in the places of nulls.
func placeFiles(vars map[string]any, files map[string]*Upload) *Error {
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := placeFile(vars, strings.Split(path, "."), files[path]); err != nil {
			return &Error{Message: fmt.Sprintf("The file for %q has no place in the variables: %s.", path, err)}
		}
	}
	return nil
}

// placeFile puts a file at a path of a decoded JSON value.
func placeFile(in any, path []string, file *Upload) error {
	for i, key := range path {
		var old any
		var set func()
		switch at := in.(type) {
		case map[string]any:
			v, ok := at[key]
			if !ok {
				return fmt.Errorf("there is no %q", key)
			}
			old, set = v, func() { at[key] = file }
		case []any:
			n, err := strconv.Atoi(key)
			if err != nil || n < 0 || n >= len(at) || strconv.Itoa(n) != key {
				return fmt.Errorf("a list of %d elements has no %q", len(at), key)
			}
			old, set = at[n], func() { at[n] = file }
		default:
			return fmt.Errorf("%q is below what is neither an object nor a list", key)
		}
		if i < len(path)-1 {
			in = old
			continue
		}
		if old != nil {
			return errors.New("what is there is not null")
		}
		set()
	}
	return nil
}

// filesOf are the files of one request of a body: prefix is its place in an array.
func filesOf(files map[string]*Upload, prefix string) map[string]*Upload {
	if files == nil {
		return nil
	}
	own := make(map[string]*Upload)
	for path, f := range files {
		if rest, ok := strings.CutPrefix(path, prefix+variablesPrefix); ok {
			own[rest] = f
		}
	}
	return own
}

const variablesPrefix = "variables."
