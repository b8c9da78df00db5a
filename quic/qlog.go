package commquic

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/quic-go/quic-go"
	_ "github.com/quic-go/quic-go/qlog" // registers the schema of the events
	"github.com/quic-go/quic-go/qlogwriter"
)

// tracer writes a qlog file for each connection into dir, or where the variable QLOGDIR says; nil without either.
// A file that cannot be made is left out: a trace must not end a connection.
func tracer(dir string) func(context.Context, bool, quic.ConnectionID) qlogwriter.Trace {
	if dir == "" {
		dir = os.Getenv("QLOGDIR")
	}
	if dir == "" {
		return nil
	}
	return func(_ context.Context, client bool, id quic.ConnectionID) qlogwriter.Trace {
		side := "server"
		if client {
			side = "client"
		}
		if os.MkdirAll(dir, 0o755) != nil {
			return nil
		}
		f, err := os.Create(filepath.Join(dir, id.String()+"_"+side+".sqlog"))
		if err != nil {
			return nil
		}
		trace := qlogwriter.NewConnectionFileSeq(&buffered{bufio.NewWriter(f), f}, client, id)
		go trace.Run() // until the connection has ended
		return trace
	}
}

// buffered is a file with a buffer that Close writes out.
type buffered struct {
	*bufio.Writer
	file *os.File
}

func (b *buffered) Close() error { return errors.Join(b.Flush(), b.file.Close()) }
