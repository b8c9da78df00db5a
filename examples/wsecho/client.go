package main

import (
	"context"
	"fmt"
	"log"
	"strconv"
	"strings"

	"github.com/anasamu/comm/ws"
)

// runCases runs every case of the fuzzing server at url.
func runCases(ctx context.Context, url string, compress bool) error {
	url = strings.TrimSuffix(url, "/")
	count, err := caseCount(ctx, url)
	if err != nil {
		return fmt.Errorf("case count: %w", err)
	}
	for i := range count {
		if err := runCase(ctx, fmt.Sprintf("%s/runCase?case=%d&agent=comm", url, i+1), compress); err != nil {
			return fmt.Errorf("case %d: %w", i+1, err)
		}
	}
	fmt.Printf("%d cases run\n", count)
	return runCase(ctx, url+"/updateReports?agent=comm", false)
}

func caseCount(ctx context.Context, url string) (int, error) {
	c, _, err := ws.Dial(ctx, url+"/getCaseCount")
	if err != nil {
		return 0, err
	}
	defer c.CloseNow()
	_, p, err := c.Read(ctx, nil)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(string(p))
	if err == nil {
		_ = c.Close(ctx, ws.StatusNormal, "") // the server may have closed first
	}
	return n, err
}

// runCase echoes until the server ends the connection, however it does that:
// the verdict is the server's.
func runCase(ctx context.Context, url string, compress bool) error {
	var opts []ws.DialOption
	for _, o := range options(compress) {
		opts = append(opts, o)
	}
	c, _, err := ws.Dial(ctx, url, opts...)
	if err != nil {
		return err
	}
	defer c.CloseNow()
	if err := echo(ctx, c); ws.CloseStatus(err) == 0 {
		log.Printf("%s: %v", url, err)
	}
	return ctx.Err()
}
