package ws_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/anasamu/comm/internal/wsframe"
	"github.com/anasamu/comm/ws"
)

// script is one case of the suite: what the peer sends and must get.
type script struct {
	name string
	run  func(p *peer)
}

// runScripts runs each script against our server, with a goroutine a connection
// and started, in cleartext and in TLS, and our client, all echoing, on the
// direct path and the portable one.
func runScripts(t *testing.T, scripts []script, opts ...ws.Option) {
	for _, portable := range []bool{false, true} {
		all := append([]ws.Option{ws.WithReadLimit(-1)}, opts...)
		if portable {
			all = append(all, ws.WithPortableIO())
		}
		var aopts []ws.AcceptOption
		var dopts []ws.DialOption
		for _, o := range all {
			aopts, dopts = append(aopts, o), append(dopts, o)
		}
		url, started, overTLS := echoServer(t, aopts...), startedEcho(t, aopts...), startedEchoTLS(t, aopts...)
		for _, s := range scripts {
			t.Run(fmt.Sprintf("server/portable=%v/%s", portable, s.name), func(t *testing.T) {
				t.Parallel()
				s.run(dialPeer(t, url))
			})
			t.Run(fmt.Sprintf("started/portable=%v/%s", portable, s.name), func(t *testing.T) {
				t.Parallel()
				s.run(dialPeer(t, started))
			})
			t.Run(fmt.Sprintf("tls/portable=%v/%s", portable, s.name), func(t *testing.T) {
				t.Parallel()
				s.run(overTLS.dialPeer(t))
			})
			t.Run(fmt.Sprintf("client/portable=%v/%s", portable, s.name), func(t *testing.T) {
				t.Parallel()
				p, c := clientPeer(t, "", dopts...)
				done := make(chan struct{})
				go func() { defer close(done); echo(t.Context(), c) }()
				s.run(p)
				p.nc.Close()
				<-done
			})
		}
	}
}

// echoed is a script in which every data frame sent whole comes back.
func echoed(name string, f frame) script {
	return script{name, func(p *peer) {
		p.send(f)
		p.want(f)
		bye(p)
	}}
}

// bye is the normal end that the peer begins.
func bye(p *peer) {
	p.t.Helper()
	p.send(closing(1000, ""))
	p.wantClose(1000)
}

// fails is a script that must end in a close with code.
func fails(name string, code int, frames ...frame) script {
	return script{name, func(p *peer) {
		p.send(frames...)
		p.wantClose(code)
	}}
}

// Sections 1 and 9: frames of all sizes, whole, chopped and fragmented.
func TestSuiteFraming(t *testing.T) {
	t.Parallel()
	var s []script
	for _, n := range []int{0, 125, 126, 127, 128, 65535, 65536} {
		s = append(s, echoed(fmt.Sprintf("text %d", n), text(strings.Repeat("*", n))))
		s = append(s, echoed(fmt.Sprintf("binary %d", n), bin(strings.Repeat("\xfe", n))))
	}
	big := frame{op: wsframe.Text, p: bytes.Repeat([]byte("*"), 65536)}
	s = append(s, script{"text 65536 chopped", func(p *peer) {
		p.chop(997, big)
		p.want(big)
		bye(p)
	}})
	for _, n := range []int{1 << 20, 4 << 20} {
		f := bin(strings.Repeat("\xfe", n))
		s = append(s, echoed(fmt.Sprintf("binary %d MiB", n>>20), f))
		s = append(s, script{fmt.Sprintf("fragments of 64 KiB, %d MiB", n>>20), func(p *peer) {
			for i := 0; i < n; i += 64 << 10 {
				part := frame{op: wsframe.Continuation, p: f.p[i : i+64<<10], more: i+64<<10 < n}
				if i == 0 {
					part.op = wsframe.Binary
				}
				p.send(part)
			}
			p.want(f)
			bye(p)
		}})
	}
	s = append(s, script{"1000 messages in flight", func(p *peer) {
		var all []frame
		for i := range 1000 {
			all = append(all, bin(strings.Repeat("m", i)))
		}
		go p.send(all...)
		p.want(all...)
		bye(p)
	}})
	runScripts(t, s)
}

// Section 2: pings and pongs.
func TestSuitePings(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("\xfe", 125)
	tooLong := frame{op: wsframe.Ping, p: bytes.Repeat([]byte{0xfe}, 126)}
	runScripts(t, []script{
		{"empty", func(p *peer) { p.send(ping("")); p.want(pong("")); bye(p) }},
		{"text", func(p *peer) { p.send(ping("hello")); p.want(pong("hello")); bye(p) }},
		{"binary", func(p *peer) { p.send(ping("\x00\xff\xfe\xfd")); p.want(pong("\x00\xff\xfe\xfd")); bye(p) }},
		{"125", func(p *peer) { p.send(ping(long)); p.want(pong(long)); bye(p) }},
		fails("126", 1002, tooLong),
		{"octets", func(p *peer) { p.chop(1, ping(long)); p.want(pong(long)); bye(p) }},
		{"unsolicited pong", func(p *peer) { p.send(pong("")); bye(p) }},
		{"unsolicited pong with payload", func(p *peer) { p.send(pong("unsolicited")); bye(p) }},
		{"pong then ping", func(p *peer) { p.send(pong("u"), ping("v")); p.want(pong("v")); bye(p) }},
		{"ten pings", func(p *peer) {
			for i := range 10 {
				p.send(ping(fmt.Sprint("payload-", i)))
			}
			for i := range 10 {
				p.want(pong(fmt.Sprint("payload-", i)))
			}
			bye(p)
		}},
		{"ten pings in octets", func(p *peer) {
			for i := range 10 {
				p.chop(1, ping(fmt.Sprint("payload-", i)))
			}
			for i := range 10 {
				p.want(pong(fmt.Sprint("payload-", i)))
			}
			bye(p)
		}},
	})
}

// raw flips bits of a frame's first byte.
func (p *peer) raw(first byte, f frame) {
	b := p.wire(f)
	b[0] |= first
	p.write(b)
}

// Section 3: reserved bits. What came before is answered first.
func TestSuiteReservedBits(t *testing.T) {
	t.Parallel()
	var s []script
	for rsv := 1; rsv <= 7; rsv++ {
		for _, f := range []frame{text("hello"), bin("\x01\x02"), ping("p"), closing(1000, "")} {
			s = append(s, script{fmt.Sprintf("rsv %d on opcode %d", rsv, f.op), func(p *peer) {
				p.send(text("before"))
				p.want(text("before"))
				p.raw(byte(rsv)<<4, f)
				p.write(p.wire(ping("after")))
				p.wantClose(1002)
			}})
		}
	}
	s = append(s, script{"behind a message in the same write", func(p *peer) {
		bad := p.wire(text("b"))
		bad[0] |= 0x20
		p.write(append(p.wire(text("a")), bad...))
		p.want(text("a"))
		p.wantClose(1002)
	}})
	runScripts(t, s)
}

// Section 4: reserved opcodes.
func TestSuiteOpcodes(t *testing.T) {
	t.Parallel()
	var s []script
	for _, op := range []wsframe.Opcode{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		s = append(s,
			fails(fmt.Sprintf("opcode %d", op), 1002, frame{op: op}),
			fails(fmt.Sprintf("opcode %d with payload", op), 1002, frame{op: op, p: []byte("payload")}),
			script{fmt.Sprintf("opcode %d behind text", op), func(p *peer) {
				p.send(text("hello"), frame{op: op, p: []byte("x")}, ping(""))
				p.want(text("hello"))
				p.wantClose(1002)
			}})
	}
	runScripts(t, s)
}

// Section 5: fragmentation.
func TestSuiteFragmentation(t *testing.T) {
	t.Parallel()
	runScripts(t, []script{
		fails("fragmented ping", 1002, ping("a").open(), cont("b")),
		fails("fragmented pong", 1002, pong("a").open(), cont("b")),
		{"two fragments", func(p *peer) { p.send(text("a").open(), cont("b")); p.want(text("ab")); bye(p) }},
		{"two fragments in octets", func(p *peer) { p.chop(1, text("aé").open(), cont("ßb")); p.want(text("aéßb")); bye(p) }},
		{"ping between", func(p *peer) {
			p.send(text("a").open(), ping("p"), cont("b"))
			p.want(pong("p"), text("ab"))
			bye(p)
		}},
		{"ping between, in octets", func(p *peer) {
			p.chop(1, text("a").open(), ping("p"), cont("b"))
			p.want(pong("p"), text("ab"))
			bye(p)
		}},
		fails("continuation without a message", 1002, cont("c"), text("hello")),
		fails("open continuation without a message", 1002, cont("c").open(), text("hello")),
		{"text inside text", func(p *peer) { p.send(text("a").open(), text("b")); p.wantClose(1002) }},
		{"three fragments and two pings", func(p *peer) {
			p.send(text("1").open(), cont("2").open(), ping("x"), cont("3").open(), ping("y"), cont("4"))
			p.want(pong("x"), pong("y"), text("1234"))
			bye(p)
		}},
		{"empty fragments", func(p *peer) {
			p.send(text("").open(), cont("").open(), cont(""))
			p.want(text(""))
			p.send(text("").open(), cont("middle").open(), cont(""))
			p.want(text("middle"))
			bye(p)
		}},
		{"continuation after the end", func(p *peer) {
			p.send(text("a").open(), cont("b"), cont("c"))
			p.want(text("ab"))
			p.wantClose(1002)
		}},
	})
}

// Section 6: UTF-8, whole, fragmented anywhere, and failing at the first bad
// byte while the frame is not complete.
func TestSuiteUTF8(t *testing.T) {
	t.Parallel()
	const greek = "κόσμε\U0001f600"
	valid := []string{"", greek, "\x00", "\x7f", "\u0080", "\u07ff", "\u0800", "\uffff", "\U00010000", "\U0010ffff", "\ud7ff", "\ue000", "\ufffd", "\ufeff"}
	invalid := []string{
		"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\xaf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf",
		"\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80", "\xfe", "\xff",
		"\xc2", "\xe1\x80", "\xf1\x80\x80", "\xc2\x20", "\xe1\x80\x20", greek + "\xed\xa0\x80edited",
	}
	var s []script
	for _, v := range valid {
		s = append(s, echoed("valid "+hex.EncodeToString([]byte(v)), text(v)))
	}
	for _, v := range invalid {
		s = append(s, fails("invalid "+hex.EncodeToString([]byte(v)), 1007, text(v)))
	}
	s = append(s,
		script{"cut inside characters by fragments", func(p *peer) {
			p.send(text(greek[:1]).open())
			for i := 1; i < len(greek); i++ {
				p.send(cont(greek[i : i+1]).open())
			}
			p.send(cont(""))
			p.want(text(greek))
			bye(p)
		}},
		script{"octet-wise", func(p *peer) { p.chop(1, text(greek)); p.want(text(greek)); bye(p) }},
		script{"fails in an open message", func(p *peer) {
			p.send(text(greek).open(), cont("\xf4\x90").open())
			p.wantClose(1007) // the rest is never sent
		}},
		script{"fails in an incomplete frame", func(p *peer) {
			b := p.wire(text(greek + "\xf4\x90\x80\x80edited"))
			p.write(b[:len(b)-8]) // up to \xf4\x90
			p.wantClose(1007)
		}},
		script{"an incomplete frame cut behind a lead byte lives", func(p *peer) {
			b := p.wire(text(greek))
			p.write(b[:len(b)-2])
			p.write(b[len(b)-2:])
			p.want(text(greek))
			bye(p)
		}},
	)
	runScripts(t, s)
}

// Section 7: closing.
func TestSuiteClose(t *testing.T) {
	t.Parallel()
	var s []script
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		s = append(s, fails(fmt.Sprintf("code %d", code), code, closing(code, "")))
	}
	for _, code := range []int{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		s = append(s, fails(fmt.Sprintf("invalid code %d", code), 1002, closing(code, "")))
	}
	s = append(s,
		script{"echo, then close", func(p *peer) { p.send(text("hi")); p.want(text("hi")); bye(p) }},
		fails("empty close", wsframe.NoStatus, frame{op: wsframe.Close}),
		fails("one byte", 1002, frame{op: wsframe.Close, p: []byte{3}}),
		fails("reason", 1000, closing(1000, "hello")),
		fails("longest reason", 1000, closing(1000, strings.Repeat("*", 123))),
		fails("too long", 1002, closing(1000, strings.Repeat("*", 124))),
		fails("reason not UTF-8", 1007, closing(1000, "\xce\xba\xe1\xbd\xb9\xed\xa0\x80")),
		fails("two closes", 1000, closing(1000, ""), closing(1000, "")),
		fails("ping behind close", 1000, closing(1000, ""), ping("")),
		fails("text behind close", 1000, closing(1000, ""), text("hello")),
		fails("close inside a message", 1000, text("a").open(), closing(1000, ""), cont("b")),
		script{"256 KiB, then close and ping", func(p *peer) {
			big := text(strings.Repeat("BAsd7&jh23", 26214))
			go p.send(big, closing(1000, ""), ping(""))
			p.want(big)
			p.wantClose(1000)
		}},
	)
	runScripts(t, s)
}

// Masking is each side's duty (5.1), and lengths take their shortest form (5.2).
func TestSuiteStrictness(t *testing.T) {
	t.Parallel()
	runScripts(t, []script{
		{"wrong masking", func(p *peer) {
			q := *p
			q.masked = !p.masked
			p.write(q.wire(text("x")))
			p.wantClose(1002)
		}},
		{"16-bit length of 125", func(p *peer) { p.write(maskBit(p, []byte{0x82, 126, 0, 125})); p.wantClose(1002) }},
		{"64-bit length of 65535", func(p *peer) {
			p.write(maskBit(p, []byte{0x82, 127, 0, 0, 0, 0, 0, 0, 255, 255}))
			p.wantClose(1002)
		}},
		{"64-bit length with the top bit", func(p *peer) {
			p.write(maskBit(p, []byte{0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0}))
			p.wantClose(1002)
		}},
		{"bad opcode is seen in one byte", func(p *peer) { p.write([]byte{0x83}); p.wantClose(1002) }},
	})
}

func maskBit(p *peer, b []byte) []byte {
	if p.masked {
		b[1] |= 0x80
	}
	return b
}

// Section 10: a message sent in many fragments by our own writer.
func TestSuiteAutoFragmentation(t *testing.T) {
	t.Parallel()
	want := strings.Repeat("*", 65536)
	url := serve(t, func(ctx context.Context, c *ws.Conn) error {
		return c.Serve(ctx, func(typ ws.Type, p []byte) error {
			w, err := c.Writer(ctx, typ)
			if err != nil {
				return err
			}
			for len(p) > 0 && err == nil {
				n := min(1300, len(p))
				_, err = w.Write(p[:n])
				p = p[n:]
			}
			if err != nil {
				return err
			}
			return w.Close()
		})
	})
	p := dialPeer(t, url)
	p.send(text(want))
	got, frames := "", 0
	for op := wsframe.Text; ; op = wsframe.Continuation {
		f, err := p.next()
		if err != nil || f.op != op {
			t.Fatalf("%v, %s", err, f)
		}
		got += string(f.p)
		if frames++; !f.more {
			break
		}
	}
	if got != want || frames < 2 {
		t.Fatalf("%d bytes in %d frames", len(got), frames)
	}
	bye(p)
}
