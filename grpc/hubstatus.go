package commgrpc

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
	commv1 "github.com/anasamu/comm/grpc/comm/v1"
)

// closingStatuses are the statuses of the closing codes.
var closingStatuses = map[comm.ReasonKind]codes.Code{
	comm.ReasonNormal: codes.OK, comm.ReasonClient: codes.OK, comm.ReasonLost: codes.Canceled,
	comm.ReasonHeartbeat: codes.DeadlineExceeded, comm.ReasonSlow: codes.ResourceExhausted,
	comm.ReasonDrain: codes.Unavailable, comm.ReasonKicked: codes.PermissionDenied, comm.ReasonSuperseded: codes.Aborted,
	comm.ReasonExpired: codes.Unauthenticated, comm.ReasonUnauthorized: codes.Unauthenticated,
	comm.ReasonProtocol: codes.InvalidArgument, comm.ReasonInvalidData: codes.InvalidArgument,
	comm.ReasonTooLarge: codes.ResourceExhausted, comm.ReasonRateLimited: codes.ResourceExhausted,
	comm.ReasonInternal: codes.Internal, comm.ReasonTryLater: codes.Unavailable,
}

// refusedStatus is the status that refuses what err says, with the error frame as its detail.
func refusedStatus(id string, err error) *status.Status {
	f := comm.RefusalFrame(id, err)
	code := codeOf(f.Code)
	if le, ok := errors.AsType[*comm.LimitError](err); ok && le.Max == 0 { // nothing that the client could use less of
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
