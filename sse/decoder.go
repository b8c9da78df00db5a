package sse

import (
	"bytes"
	"io"
	"iter"
	"time"
)

// readSize is what a Decoder asks its reader for at once.
const readSize = 4 << 10

// Decoder reads events from a stream that the caller opened. Not safe for concurrent use.
type Decoder struct {
	r      io.Reader
	parser Parser
	buf    []byte
	rest   []byte
	err    error
}

// NewDecoder returns a Decoder that reads from r with [DefaultMaxEventSize]. It reads ahead.
func NewDecoder(r io.Reader) *Decoder { return &Decoder{r: r} }

// SetMaxEventSize bounds one event in bytes. Zero or less means [DefaultMaxEventSize].
func (d *Decoder) SetMaxEventSize(n int) { d.parser.SetMaxEventSize(n) }

// LastEventID returns the last event ID in force; see [Parser.LastEventID].
func (d *Decoder) LastEventID() string { return d.parser.LastEventID() }

// Retry returns the reconnection time that the stream asked for last, and whether it did.
func (d *Decoder) Retry() (time.Duration, bool) { return d.parser.Retry() }

// Next returns the next event, whose Data belongs to the caller. At the end of the stream it returns
// io.EOF, and an event that the stream left unfinished is discarded. Other errors are the reader's,
// or a [*SizeError]. Every error is final.
func (d *Decoder) Next() (Event, error) {
	ev, err := d.next()
	ev.Data = bytes.Clone(ev.Data)
	return ev, err
}

// Events returns the events up to the end of the stream. An error other than io.EOF is the last pair's.
func (d *Decoder) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			ev, err := d.Next()
			if err == io.EOF {
				return
			}
			if !yield(ev, err) || err != nil {
				return
			}
		}
	}
}

// next is Next without the copy of Data.
func (d *Decoder) next() (Event, error) {
	for {
		if len(d.rest) > 0 {
			ev, rest, ok, err := d.parser.Next(d.rest)
			d.rest = rest
			if err != nil {
				d.rest, d.err = nil, err
				return Event{}, err
			}
			if ok {
				return ev, nil
			}
		}
		if d.err != nil {
			return Event{}, d.err
		}
		d.fill()
	}
}

func (d *Decoder) fill() {
	if d.buf == nil {
		d.buf = make([]byte, readSize)
	}
	// A reader may return nothing without an error; a hundred times in a row is a broken reader.
	for range 100 {
		n, err := d.r.Read(d.buf)
		d.rest, d.err = d.buf[:n], err
		if n > 0 || err != nil {
			return
		}
	}
	d.err = io.ErrNoProgress
}
