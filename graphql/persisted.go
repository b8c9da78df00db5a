package graphql

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"sync"
)

// defaultPersistedBytes bounds the texts that are kept for automatic persisted queries.
const defaultPersistedBytes = 4 << 20

// WithPersistedQueries bounds the texts that are kept for automatic persisted queries, in bytes; 0
// switches them off. The default is 4 MiB. A client sends the SHA-256 of a document in the extension
// persistedQuery, and the text only when it is answered [CodePersistedNotFound].
func WithPersistedQueries(bytes int) SchemaOption {
	return schemaOption(func(b *builder) { b.persistedSize = bytes })
}

// WithTrustedDocuments executes only these documents, by id. A request names one by its DocumentID, by
// the hash of the extension persistedQuery, or has exactly its text.
func WithTrustedDocuments(documents map[string]string) SchemaOption {
	return schemaOption(func(b *builder) { b.trusted = documents })
}

// persistedQueries keeps texts by hash, the oldest going first.
type persistedQueries struct {
	most int

	mu    sync.Mutex // guards the fields below
	texts map[string]string
	order []string
	bytes int
}

func newPersistedQueries(most int) *persistedQueries {
	if most <= 0 {
		return nil
	}
	return &persistedQueries{most: most, texts: make(map[string]string)}
}

func (p *persistedQueries) get(hash string) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text, ok := p.texts[hash]
	return text, ok
}

func (p *persistedQueries) put(hash, text string) {
	size := len(text) + len(hash) + cacheOverhead
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, dup := p.texts[hash]; dup || size > p.most {
		return
	}
	p.texts[hash] = strings.Clone(text)
	p.order = append(p.order, hash)
	p.bytes += size
	for p.bytes > p.most {
		old := p.order[0]
		p.order = p.order[1:]
		p.bytes -= len(p.texts[old]) + len(old) + cacheOverhead
		delete(p.texts, old)
	}
}

// trustedDocuments are the only ones that are executed.
type trustedDocuments struct {
	byID  map[string]string
	known map[string]bool
}

func newTrustedDocuments(documents map[string]string) *trustedDocuments {
	if documents == nil {
		return nil
	}
	t := &trustedDocuments{byID: make(map[string]string), known: make(map[string]bool)}
	for id, text := range documents {
		t.byID[id] = text
		t.byID[hashOf(text)] = text
		t.known[text] = true
	}
	return t
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func withCode(code, message string) *Error {
	return &Error{Message: message, Extensions: map[string]any{"code": code}}
}

// document is the text that a request means.
func (s *Schema) document(req *Request) (string, *Error) {
	hash, err := persistedHash(req.Extensions)
	if err != nil {
		return "", err
	}
	if s.trusted != nil {
		return s.trustedDocument(req, hash)
	}
	switch {
	case req.DocumentID != "":
		return "", withCode(CodeUntrusted, "This server has no trusted documents; send the text as query.")
	case hash == "" && req.Query == "":
		return "", &Error{Message: "Must provide query string."}
	case hash == "":
		return req.Query, nil
	case s.persisted == nil:
		return "", withCode(CodePersistedUnsupported, "PersistedQueryNotSupported")
	case req.Query != "":
		if hashOf(req.Query) != hash {
			return "", &Error{Message: "The sha256Hash of the extension persistedQuery is not that of the query."}
		}
		return req.Query, nil
	}
	text, ok := s.persisted.get(hash)
	if !ok {
		return "", withCode(CodePersistedNotFound, "PersistedQueryNotFound")
	}
	return text, nil
}

func (s *Schema) trustedDocument(req *Request, hash string) (string, *Error) {
	id := req.DocumentID
	if id == "" {
		id = strings.TrimPrefix(hash, "sha256:")
	}
	if text, ok := s.trusted.byID[strings.TrimPrefix(id, "sha256:")]; ok {
		return text, nil
	}
	if id == "" && s.trusted.known[req.Query] {
		return req.Query, nil
	}
	return "", withCode(CodeUntrusted, "The document is not one of those that this server trusts.")
}

// keep remembers the text of a persisted query once it has been found valid.
func (s *Schema) keep(req *Request, query string) {
	if s.persisted == nil || s.trusted != nil || len(req.Extensions) == 0 || req.Query == "" {
		return
	}
	if hash, err := persistedHash(req.Extensions); err == nil && hash != "" {
		s.persisted.put(hash, query)
	}
}

// persistedHash is the hash of the extension persistedQuery, or "".
func persistedHash(extensions json.RawMessage) (string, *Error) {
	if len(extensions) == 0 {
		return "", nil
	}
	var ext struct {
		PersistedQuery *struct {
			Version    int    `json:"version"`
			Sha256Hash string `json:"sha256Hash"`
		} `json:"persistedQuery"`
	}
	if err := json.Unmarshal(extensions, &ext); err != nil {
		return "", &Error{Message: "Extensions must be a JSON object: " + err.Error()}
	}
	q := ext.PersistedQuery
	switch {
	case q == nil:
		return "", nil
	case q.Version != 1:
		return "", withCode(CodePersistedUnsupported, "Unsupported persisted query version: 1 is supported.")
	case len(q.Sha256Hash) != hex.EncodedLen(sha256.Size):
		return "", &Error{Message: "The extension persistedQuery needs a sha256Hash of 64 hexadecimal digits."}
	}
	return strings.ToLower(q.Sha256Hash), nil
}
