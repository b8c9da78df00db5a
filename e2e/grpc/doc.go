// Package e2e proves package commgrpc by what others have written: the cases of grpc-go's interoperability
// client, grpcurl, grpc-health-probe and h2spec. They are tools and tests of this module, so that the gateway's
// module requires none of them.
package e2e
