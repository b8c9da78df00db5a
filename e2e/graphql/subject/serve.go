package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/anasamu/comm"
	"github.com/anasamu/comm/graphql"
)

var uploads = graphql.WithUploads(graphql.UploadLimits{})

// serve serves the schema by its handler alone, and by a gateway, until ctx ends.
func serve(ctx context.Context, out io.Writer) error {
	s := new(service)
	alone, stop, err := s.serveAlone()
	if err != nil {
		return err
	}
	var opts []graphql.Option
	for _, o := range s.options() {
		opts = append(opts, o)
	}
	opts = append(opts, uploads)
	gw, err := comm.New(comm.WithAddr("127.0.0.1:0"), comm.WithProvider(graphql.New(opts...)), comm.WithAuthenticator(authenticate))
	if err != nil {
		return err
	}
	if err := gw.Start(ctx); err != nil {
		return err
	}
	addrs, err := gw.Addrs("graphql")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on http://%s/graphql and http://%s/graphql\n", alone, addrs[0])
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(stop(ctx), gw.Drain(ctx), gw.Close())
}

func (s *service) serveAlone() (net.Addr, func(context.Context) error, error) {
	schema, err := graphql.NewSchema(s.options()...)
	if err != nil {
		return nil, nil, err
	}
	handler, err := graphql.NewHandler(schema, uploads)
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/graphql", handler)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = srv.Serve(l) }() // Shutdown ends it
	return l.Addr(), srv.Shutdown, nil
}
