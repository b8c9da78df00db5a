package commgrpc

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
)

// statusError is an error as a client is to be told it: those of package comm, which a handler may return too, have
// their own codes, and their texts reveal nothing internal. Everything else is left to grpc-go.
func statusError(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	f := comm.RefusalFrame("", err)
	if f.Code == comm.CodeInternal {
		if pe, ok := errors.AsType[*comm.PeerError](err); !ok || pe.Code != comm.CodeInternal {
			return err
		}
	}
	return status.Error(codeOf(f.Code), f.Text)
}

// refusal is statusError of what the gateway itself refuses, which is never more than it says to clients.
func refusal(err error) error {
	f := comm.RefusalFrame("", err)
	return status.Error(codeOf(f.Code), f.Text)
}

// codeOf is the gRPC code for one of the client protocol.
func codeOf(c comm.Code) codes.Code {
	if code, ok := protocolCodes[c]; ok {
		return code
	}
	return codes.FailedPrecondition
}

var protocolCodes = map[comm.Code]codes.Code{
	comm.CodeBadFrame: codes.InvalidArgument, comm.CodeUnknownOp: codes.InvalidArgument, comm.CodeBadMessage: codes.InvalidArgument,
	comm.CodeUnknownType: codes.Unimplemented, comm.CodeForbidden: codes.PermissionDenied, comm.CodeUnauthenticated: codes.Unauthenticated,
	comm.CodeNotFound: codes.NotFound, comm.CodeTooLarge: codes.ResourceExhausted, comm.CodeRateLimited: codes.ResourceExhausted,
	comm.CodeLimit: codes.ResourceExhausted, comm.CodeSessionRevoked: codes.PermissionDenied, comm.CodeSessionUnknown: codes.NotFound,
	comm.CodeBadPosition: codes.InvalidArgument, comm.CodeTimeout: codes.DeadlineExceeded, comm.CodeInternal: codes.Internal,
	comm.CodeClosing: codes.Unavailable,
}

// codeNames are the codes as gRPC's specification writes them.
var codeNames = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
	"UNAUTHENTICATED",
}

// codeName is the name of a code; handlers can make up others.
func codeName(c codes.Code) string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "OTHER"
}

// isFault reports whether a call that ended so failed by the service's own fault.
func isFault(c codes.Code) bool {
	switch c {
	case codes.Unknown, codes.DeadlineExceeded, codes.Internal, codes.Unavailable, codes.DataLoss:
		return true
	}
	return false
}
