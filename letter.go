package comm

import "sync"

// Forgetter is a Transport that keeps nothing of what Write and TryWrite are given once they have returned: neither
// Outbound nor Frame nor Message, only bytes: what Bytes has returned, and the content of messages. What is sent to its
// connection alone is then used again for what is sent later, so that such a send costs no memory.
type Forgetter interface {
	Transport
	Forgets() // says so, and does nothing
}

// letter is what is sent to one connection alone: the envelope, and the message with its address.
type letter struct {
	envelope
	message Message
	next    *letter // in a chain of those that are to be used again
}

// letterChains are letters that have left, as many together as a writer wrote at once.
var letterChains sync.Pool

// letterTo puts msg into an envelope for c, which is all of t.
func (p *publication) letterTo(c *Conn, t Target, msg *Message) *envelope {
	if !c.out.forgets {
		e := p.envelope(t, addressed(msg, t))
		e.sole = true
		return e
	}
	l := p.takeLetter()
	if msg.to == "" {
		l.message = *msg
		l.message.to = t.first
		msg = &l.message
	}
	l.seal(t, msg, &p.options)
	l.sole, l.letter = true, l
	return &l.envelope
}

func (p *publication) takeLetter() *letter {
	if p.letters == nil {
		p.letters, _ = letterChains.Get().(*letter)
	}
	l := p.letters
	if l == nil {
		return new(letter)
	}
	p.letters, l.next = l.next, nil
	return l
}

// reuse has the letters of a batch used again that has been written, and that nobody else has seen.
func reuse(batch []Outbound) {
	var chain *letter
	for _, o := range batch {
		if l := o.e.letter; l != nil {
			*l = letter{next: chain}
			chain = l
		}
	}
	if chain != nil {
		letterChains.Put(chain)
	}
}
