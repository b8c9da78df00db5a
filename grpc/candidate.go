package commgrpc

import (
	"strings"

	"golang.org/x/net/http2/hpack"
)

// candidate is what a connection's first request says about who sends it. The native transport can serve nothing but
// gRPC, and a connection cannot change hands later. So it takes those connections on which a gRPC library speaks itself.
// Proxies, and HTTP clients that happen to call gRPC, may follow with anything else.
type candidate struct {
	contentType string // the last of them
	userAgent   string
	proxied     bool
}

// field notes a field. It does no more, for a block can repeat one field tens of thousands of times, a byte each.
func (c *candidate) field(f hpack.HeaderField) {
	switch f.Name {
	case "content-type":
		c.contentType = f.Value
	case "user-agent":
		c.userAgent = f.Value
	case "via", "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "x-envoy-expected-rq-timeout-ms":
		c.proxied = true
	}
}

func (c *candidate) native() bool {
	return !c.proxied && isNative(c.contentType) && fromLibrary(c.userAgent)
}

// libraries are the products that gRPC's own libraries name in User-Agent: each has connections of its own.
var libraries = []string{
	"grpc-go/", "grpc-c++/", "grpc-c/", "grpc-python/", "grpc-python-asyncio/", "grpc-ruby/", "grpc-php/", "grpc-objc/",
	"grpc-csharp/", "grpc-dotnet/", "grpc-node/", "grpc-node-js/", "grpc-java-netty/", "grpc-java-okhttp/",
	"grpc-swift/", "grpc-swift-nio/", "grpc-kotlin/", "grpc-dart/", "tonic/",
}

// fromLibrary looks at each product of a User-Agent, for applications put their own first.
func fromLibrary(userAgent string) bool {
	for product := range strings.FieldsSeq(userAgent) {
		for _, l := range libraries {
			if strings.HasPrefix(product, l) {
				return true
			}
		}
	}
	return false
}
