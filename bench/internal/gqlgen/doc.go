// Package gqlgen is the server that github.com/99designs/gqlgen makes of the
// schema of the measurements, and its resolvers. After a change of the schema:
//
//	go generate ./internal/gqlgen        in the folder bench
package gqlgen

//go:generate go run github.com/99designs/gqlgen@v0.17.98 generate
