package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/anasamu/comm"
	commquic "github.com/anasamu/comm/quic"
)

// pinned trusts the one certificate with that hash, whoever it names.
func pinned(hash string) (*tls.Config, error) {
	want, err := hex.DecodeString(hash)
	if err != nil || len(want) != sha256.Size {
		return nil, fmt.Errorf("-pin %q: the 64 hexadecimal digits that the server prints are needed", hash)
	}
	return &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection: func(s tls.ConnectionState) error {
			if got := sha256.Sum256(s.PeerCertificates[0].Raw); !bytes.Equal(got[:], want) {
				return errors.New("the server's certificate is not the pinned one")
			}
			return nil
		},
	}, nil
}

// chat joins the room, says what it reads from in, and prints what is said, until in or ctx ends.
func chat(ctx context.Context, addr, pin, name string, in io.Reader, out io.Writer) error {
	trust, err := pinned(pin)
	if err != nil {
		return err
	}
	client, err := comm.NewClient([]comm.Dialer{commquic.Dialer(addr, commquic.WithTLS(trust))}, comm.WithGroups(room))
	if err != nil {
		return err
	}
	print := printer{out}
	client.On("said", func(_ context.Context, m *comm.Message) error {
		s, err := comm.Decode[said](m)
		print.say("%s: %s", s.Name, s.Text)
		return err
	})
	client.On("time", func(_ context.Context, m *comm.Message) error {
		print.say("it is %s", m.Content())
		return nil
	})
	client.On("file", func(_ context.Context, m *comm.Message) error {
		print.say("%s has come, %d bytes", m.Header("name"), len(m.Content()))
		return nil
	})
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	err = lines(in, func(line string) error { return say(ctx, client, name, line) })
	cancel()
	return errors.Join(err, <-ended)
}

// say sends a line, or the file that it names.
func say(ctx context.Context, c *comm.Client, name, line string) error {
	path, isFile := strings.CutPrefix(line, "/file ")
	if !isFile {
		m, err := comm.NewMessage("say", said{name, line})
		if err != nil {
			return err
		}
		return c.SendAck(ctx, m)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	m, err := comm.NewMessage("file", b, comm.WithHeader("name", filepath.Base(path)))
	if err != nil {
		return err
	}
	return c.SendAck(ctx, m, comm.WithLane("files"))
}
