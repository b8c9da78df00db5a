package commgrpc

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// errorStatuses are the statuses of the error codes of PROTOCOL.md, "gRPC".
var errorStatuses = map[comm.Code]codes.Code{
	comm.CodeBadFrame: codes.InvalidArgument, comm.CodeUnknownOp: codes.InvalidArgument,
	comm.CodeBadMessage: codes.InvalidArgument, comm.CodeBadPosition: codes.InvalidArgument,
	comm.CodeUnsupportedVersion: codes.InvalidArgument, comm.CodeUnexpectedHello: codes.InvalidArgument,
	comm.CodeUnknownType: codes.Unimplemented, comm.CodeForbidden: codes.PermissionDenied,
	comm.CodeSessionRevoked: codes.PermissionDenied, comm.CodeUnauthenticated: codes.Unauthenticated,
	comm.CodeNotFound: codes.NotFound, comm.CodeSessionUnknown: codes.NotFound,
	comm.CodeTooLarge: codes.ResourceExhausted, comm.CodeRateLimited: codes.ResourceExhausted,
	comm.CodeLimit: codes.ResourceExhausted, comm.CodeTimeout: codes.DeadlineExceeded,
	comm.CodeInternal: codes.Internal, comm.CodeClosing: codes.Unavailable,
}

// closingStatuses are the statuses of the closing codes.
var closingStatuses = map[comm.ReasonKind]codes.Code{
	comm.ReasonNormal: codes.OK, comm.ReasonClient: codes.OK, comm.ReasonLost: codes.Unavailable,
	comm.ReasonHeartbeat: codes.DeadlineExceeded, comm.ReasonSlow: codes.ResourceExhausted,
	comm.ReasonDrain: codes.Unavailable, comm.ReasonKicked: codes.PermissionDenied, comm.ReasonSuperseded: codes.Aborted,
	comm.ReasonExpired: codes.Unauthenticated, comm.ReasonUnauthorized: codes.Unauthenticated,
	comm.ReasonProtocol: codes.InvalidArgument, comm.ReasonInvalidData: codes.InvalidArgument,
	comm.ReasonTooLarge: codes.ResourceExhausted, comm.ReasonRateLimited: codes.ResourceExhausted,
	comm.ReasonInternal: codes.Internal, comm.ReasonTryLater: codes.Unavailable,
}

// refusalFrame is the status that refuses what err says, with the error frame as its detail.
func refusalFrame(id string, err error) *status.Status {
	f := comm.RefusalFrame(id, err)
	code, ok := errorStatuses[f.Code]
	switch le, limited := errors.AsType[*comm.LimitError](err); {
	case !ok: // the service's own code
		code = codes.Unknown
	case limited && le.Max == 0: // nothing that the client could use less of
		code = codes.Unavailable
	}
	return withDetail(code, f)
}

// ending is the status of a stream that was closed, with the closing frame as its detail.
func ending(r comm.CloseReason) *status.Status {
	code, ok := closingStatuses[r.Kind]
	if !ok {
		code = codes.Unknown
	}
	f := r.Frame()
	if f.Text == "" {
		f.Text = string(f.Code)
	}
	return withDetail(code, f)
}

// withDetail is a status that carries a frame.
func withDetail(code codes.Code, f *comm.Frame) *status.Status {
	if code == codes.OK {
		return nil
	}
	s := status.New(code, f.Text)
	if with, err := s.WithDetails(toWire(f)); err == nil {
		return with
	}
	return s
}

// detailOf is the frame that a status carries, or nil.
func detailOf(s *status.Status) *comm.Frame {
	for _, d := range s.Details() {
		w, ok := d.(*commv1.Frame)
		if !ok {
			continue
		}
		if f, err := fromWire(w); err == nil {
			return f
		}
	}
	return nil
}
