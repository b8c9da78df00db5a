package commgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/anasamu/comm"
	commgrpc "github.com/anasamu/comm/grpc"
)

// Errors of package comm have their own codes, and only theirs are told.
func TestErrorsOfHandlers(t *testing.T) {
	t.Parallel()
	var answer error
	m := gateway(t, commgrpc.New(with(&service{unary: func(context.Context, *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
		return nil, answer
	}})))
	c := testClient(t, m)
	for _, row := range []struct {
		err  error
		code codes.Code
	}{
		{comm.ErrForbidden, codes.PermissionDenied},
		{fmt.Errorf("looking: %w", comm.ErrNotFound), codes.NotFound},
		{comm.ErrUnauthenticated, codes.Unauthenticated},
		{comm.ErrClosed, codes.Unavailable},
		{&comm.LimitError{Limit: "orders", Max: 3}, codes.ResourceExhausted},
		{&comm.PeerError{Code: comm.CodeBadMessage, Message: "no such day"}, codes.InvalidArgument},
		{&comm.PeerError{Code: comm.CodeInternal, Message: "sorry"}, codes.Internal},
		{&comm.PeerError{Code: "sold_out", Message: "no more"}, codes.FailedPrecondition},
		{status.Error(codes.DataLoss, "gone"), codes.DataLoss},
		{fmt.Errorf("wrapped: %w", status.Error(codes.Aborted, "again")), codes.Aborted},
		{context.DeadlineExceeded, codes.DeadlineExceeded},
		{context.Canceled, codes.Canceled},
		{errors.New("other"), codes.Unknown},
	} {
		answer = row.err
		_, err := c.UnaryCall(t.Context(), payload(1))
		wantCode(t, row.err.Error(), err, row.code)
	}
}
