package comm

import "sync"

// Forgetter is a Transport that keeps nothing of what Write and TryWrite are given once they have returned: neither
// Outbound nor Frame nor Message, only bytes: what Bytes has returned, and the content of messages. What is sent to its
// connection alone is then used again for what is sent later, so that such a send costs no memory.
type Forgetter interface {
	Transport
	Forgets() // says so, and does nothing
}

// letter is the envelope, and the message with its address, of one send.
type letter struct {
	envelope
	message Message
	next    *letter // in a chain of those that are to be used again, which were for one connection alone
}

// letterChains are letters that have left, as many together as a writer wrote at once.
var letterChains sync.Pool

// letterTo puts msg into an envelope for c, which is all of t.
func (p *publication) letterTo(c *Conn, t Target, msg *Message) *envelope {
	if !c.out.forgets {
		e := p.envelope(t, msg)
		e.sole = true
		return e
	}
	l := p.takeLetter()
	l.write(t, msg, &p.options)
	l.sole, l.letter = true, l
	return &l.envelope
}

// envelope puts msg into an envelope for all of t.
func (p *publication) envelope(t Target, msg *Message) *envelope {
	if msg.to != "" {
		e := new(envelope)
		e.seal(t, msg, &p.options)
		return e
	}
	l := new(letter)
	l.write(t, msg, &p.options)
	return &l.envelope
}

// write fills a letter that is new with a message, whose to is the target unless it says something already.
func (l *letter) write(t Target, msg *Message, o *sendOptions) {
	if msg.to == "" {
		l.message = *msg
		l.message.to = t.String()
		msg = &l.message
	}
	l.seal(t, msg, o)
}

// seal fills an envelope that is new.
func (e *envelope) seal(t Target, msg *Message, o *sendOptions) {
	e.frame.Op, e.frame.ID, e.frame.Message, e.frame.Ack = OpMessage, msg.id, msg, o.ack
	e.filter, e.size = t.only, msg.Size()
	e.priority, e.lane, e.unrel, e.key = o.priority, o.lane, o.unreliable, o.key
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
