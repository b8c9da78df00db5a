// Package commv1 is the Go code of comm.proto: the hub of a gateway as a gRPC service, for clients that want to use
// the generated code alone. [github.com/anasamu/comm/grpc] serves it, and its Dialer is a client that comes back and
// resumes by itself.
//
// PROTOCOL.md says what each frame means. All files but this one are made from comm.proto.
package commv1
