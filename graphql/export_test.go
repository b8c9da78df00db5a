package graphql

// HashOf is what a client sends in place of a text.
var HashOf = hashOf

// CacheSize is how many operations are cached, and their estimated bytes.
func (s *Schema) CacheSize() (entries, bytes int) { return s.cache.size() }

// PolicyFor is the Content-Security-Policy of the playground for a Host header.
var PolicyFor = policyFor
