package deflate

import (
	"fmt"
	"strconv"
	"strings"
)

// The limits of a window, as powers of two (RFC 7692 7.1.2).
const (
	MinBits = 8
	MaxBits = 15
)

const (
	serverNoTakeover = "server_no_context_takeover"
	clientNoTakeover = "client_no_context_takeover"
	serverBits       = "server_max_window_bits"
	clientBits       = "client_max_window_bits"
)

// Side is what one direction of a connection has agreed on, seen from the one
// who compresses.
type Side struct {
	Takeover bool // the context lives on from message to message
	Bits     int  // the window is 1<<Bits bytes
}

// Params is the outcome of a negotiation.
type Params struct{ Server, Client Side }

// Wish is what this end wants of a negotiation.
type Wish struct {
	Takeover     bool // keep our own compressor's context
	PeerTakeover bool // allow the peer to keep its context
	Bits         int  // our own window at most, MinBits to MaxBits
	PeerBits     int  // the peer's window at most
}

// offered is an offer or an answer in parsed form; bits are 0 where absent.
type offered struct {
	serverNoTakeover, clientNoTakeover bool
	serverBits, clientBits             int
	clientBitsAny                      bool // client_max_window_bits without a value
}

// parse refuses unknown, repeated and ill-valued parameters, as RFC 7692 7.1
// tells both sides to.
func parse(ext Extension, answer bool) (o offered, err error) {
	seen := map[string]bool{}
	for _, p := range ext.Params {
		if seen[p.Name] {
			return o, fmt.Errorf("deflate: parameter %s given twice", p.Name)
		}
		seen[p.Name] = true
		if err := o.set(p, answer); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (o *offered) set(p Param, answer bool) (err error) {
	switch p.Name {
	case serverNoTakeover, clientNoTakeover:
		if p.Set {
			return fmt.Errorf("deflate: parameter %s takes no value", p.Name)
		}
		o.serverNoTakeover = o.serverNoTakeover || p.Name == serverNoTakeover
		o.clientNoTakeover = o.clientNoTakeover || p.Name == clientNoTakeover
	case serverBits:
		o.serverBits, err = parseBits(p)
	case clientBits:
		if !p.Set && !answer {
			o.clientBitsAny = true
			return nil
		}
		o.clientBits, err = parseBits(p)
	default:
		return fmt.Errorf("deflate: unknown parameter %s", p.Name)
	}
	return err
}

func parseBits(p Param) (int, error) {
	n, err := strconv.Atoi(p.Value)
	if err != nil || n < MinBits || n > MaxBits || strconv.Itoa(n) != p.Value {
		return 0, fmt.Errorf("deflate: %s is %q, want %d to %d", p.Name, p.Value, MinBits, MaxBits)
	}
	return n, nil
}

// Accept is the server's side: it answers the first offer it can take. An
// offer with anything unknown or invalid is declined, not an error; without
// an acceptable one ok is false and the connection goes uncompressed.
func Accept(offers []Extension, wish Wish) (p Params, answer string, ok bool) {
	for _, ext := range offers {
		if ext.Name != Name {
			continue
		}
		o, err := parse(ext, false)
		if err != nil {
			continue
		}
		p, answer = accept(o, wish)
		return p, answer, true
	}
	return Params{}, "", false
}

func accept(o offered, w Wish) (Params, string) {
	p := Params{
		Server: Side{Takeover: w.Takeover && !o.serverNoTakeover, Bits: w.Bits},
		Client: Side{Takeover: w.PeerTakeover && !o.clientNoTakeover, Bits: MaxBits},
	}
	if o.serverBits != 0 {
		p.Server.Bits = min(p.Server.Bits, o.serverBits)
	}
	// Only a client that says it knows the parameter may be given one (7.1.2.2).
	if o.clientBitsAny || o.clientBits != 0 {
		p.Client.Bits = w.PeerBits
		if o.clientBits != 0 {
			p.Client.Bits = min(p.Client.Bits, o.clientBits)
		}
	}
	b := []byte(Name)
	if !p.Server.Takeover {
		b = append(b, "; "+serverNoTakeover...)
	}
	if !p.Client.Takeover {
		b = append(b, "; "+clientNoTakeover...)
	}
	if p.Server.Bits < MaxBits || o.serverBits != 0 {
		b = strconv.AppendInt(append(b, "; "+serverBits+"="...), int64(p.Server.Bits), 10)
	}
	if p.Client.Bits < MaxBits || o.clientBits != 0 {
		b = strconv.AppendInt(append(b, "; "+clientBits+"="...), int64(p.Client.Bits), 10)
	}
	return p, string(b)
}

// Offer is the client's header value for wish.
func Offer(w Wish) string {
	parts := []string{Name}
	if !w.PeerTakeover {
		parts = append(parts, serverNoTakeover)
	}
	if !w.Takeover {
		parts = append(parts, clientNoTakeover) // a hint that spares the server a window
	}
	if w.PeerBits < MaxBits {
		parts = append(parts, serverBits+"="+strconv.Itoa(w.PeerBits))
	}
	if w.Bits < MaxBits {
		parts = append(parts, clientBits+"="+strconv.Itoa(w.Bits))
	} else {
		parts = append(parts, clientBits)
	}
	return strings.Join(parts, "; ")
}

// Check is the client's side of the answer to Offer(w). ok is false if the
// server declined; an answer that the offer does not allow is an error and
// fails the connection (RFC 7692 7.1, RFC 6455 4.1).
func Check(answer []Extension, w Wish) (p Params, ok bool, err error) {
	if len(answer) == 0 {
		return p, false, nil
	}
	if len(answer) > 1 || answer[0].Name != Name {
		return p, false, fmt.Errorf("deflate: server answered extensions that were not offered: %s", answer[len(answer)-1].Name)
	}
	o, err := parse(answer[0], true)
	if err != nil {
		return p, false, err
	}
	switch {
	case !w.PeerTakeover && !o.serverNoTakeover:
		return p, false, fmt.Errorf("deflate: server ignored %s", serverNoTakeover)
	case w.PeerBits < MaxBits && (o.serverBits == 0 || o.serverBits > w.PeerBits):
		return p, false, fmt.Errorf("deflate: server ignored %s=%d", serverBits, w.PeerBits)
	case o.clientBits > w.Bits:
		return p, false, fmt.Errorf("deflate: server answered %s=%d above the offer of %d", clientBits, o.clientBits, w.Bits)
	}
	p.Server = Side{Takeover: !o.serverNoTakeover, Bits: orMax(o.serverBits)}
	p.Client = Side{Takeover: w.Takeover && !o.clientNoTakeover, Bits: min(w.Bits, orMax(o.clientBits))}
	return p, true, nil
}

func orMax(bits int) int {
	if bits == 0 {
		return MaxBits
	}
	return bits
}
