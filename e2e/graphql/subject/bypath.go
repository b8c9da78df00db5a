package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"

	"github.com/anasamu/comm/graphql"
)

// executeByPath executes a request as a client has it that accepts parts of the drafts of 2022 and nothing else.
func executeByPath(ctx context.Context, s *graphql.Schema, raw json.RawMessage) (r reply, err error) {
	h, err := graphql.NewHandler(s)
	if err != nil {
		return r, err
	}
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(raw))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "multipart/mixed; deferSpec=20220824")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	media, params, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
	if err != nil || w.Code != http.StatusOK || media != "multipart/mixed" || params["deferspec"] != "20220824" {
		return r, fmt.Errorf("%d %v: %s", w.Code, w.Header(), w.Body)
	}
	parts := multipart.NewReader(w.Body, params["boundary"])
	for {
		p, err := parts.NextPart()
		if err == io.EOF {
			return r, nil
		}
		if err != nil {
			return r, err
		}
		body, err := io.ReadAll(p)
		if err != nil {
			return r, err
		}
		r.Responses = append(r.Responses, body)
	}
}
