package graphql

import "strconv"

// How a client is told of what was put off: by the ids of graphql-js 17, or by path and label as in the drafts of
// 2022 (deferSpec=20220824), which is what most clients have been made for. There each deferred fragment comes
// whole, as one object, so plans for it do not divide what several fragments select; see collector.indexWithin.

// words append what is told to the next response.
type words interface {
	// promise names what will follow.
	promise(out *response, p *promise)
	// fields is a part, under one of the fragments that it belongs to.
	fields(out *response, f *fragment, t *part)
	// elements are the next ones of a list.
	elements(out *response, s *streamed, data []byte, errs []*Error)
	// end tells that a promise is kept, or why it cannot be.
	end(out *response, p *promise, failed *Error)
}

// byID is pending, incremental and completed.
type byID struct{}

func (byID) promise(out *response, p *promise) {
	b := appendPath(append(appendID(comma(out.pending), p), `,"path":`...), show(p.path))
	out.pending = append(appendLabel(b, p), '}')
}

func (byID) fields(out *response, f *fragment, t *part) {
	b := append(appendID(comma(out.incremental), &f.promise), `,"data":`...)
	b = append(b, t.data...)
	if sub := t.path[len(f.path):]; len(sub) > 0 {
		b = appendPath(append(b, `,"subPath":`...), show(sub))
	}
	out.incremental = append(appendErrorsOf(b, t.errs), '}')
}

func (byID) elements(out *response, s *streamed, data []byte, errs []*Error) {
	b := append(appendID(comma(out.incremental), &s.promise), `,"items":[`...)
	b = append(append(b, data...), ']')
	out.incremental = append(appendErrorsOf(b, errs), '}')
}

func (byID) end(out *response, p *promise, failed *Error) {
	b := appendID(comma(out.completed), p)
	if failed != nil {
		b = appendErrorsOf(b, []*Error{failed})
	}
	out.completed = append(b, '}')
}

// byPath is incremental alone: nothing is promised, and what fails is null.
type byPath struct{}

func (byPath) promise(*response, *promise) {}

func (byPath) fields(out *response, f *fragment, t *part) {
	out.incremental = appendAt(out.incremental, `"data":`, t.data, "", &f.promise, t.errs)
}

func (byPath) elements(out *response, s *streamed, data []byte, errs []*Error) {
	out.incremental = appendAt(out.incremental, `"items":[`, data, "]", &s.promise, errs)
}

func (byPath) end(out *response, p *promise, failed *Error) {
	switch {
	case failed == nil:
	case p.stream != nil:
		out.incremental = appendAt(out.incremental, `"items":null`, nil, "", p, []*Error{failed})
	default:
		out.incremental = appendAt(out.incremental, `"data":null`, nil, "", p, []*Error{failed})
	}
}

// appendAt appends what has come for a promise; the path of elements ends in the index of the first.
func appendAt(b []byte, before string, value []byte, after string, p *promise, errs []*Error) []byte {
	path := show(p.path)
	if p.stream != nil {
		path = append(path, p.stream.next)
	}
	b = append(append(append(append(comma(b), '{'), before...), value...), after...)
	b = appendPath(append(b, `,"path":`...), path)
	return append(appendErrorsOf(appendLabel(b, p), errs), '}')
}

func appendID(b []byte, p *promise) []byte {
	return append(strconv.AppendInt(append(b, `{"id":"`...), int64(p.id-1), 10), '"')
}

func appendLabel(b []byte, p *promise) []byte {
	if p.label == nil {
		return b
	}
	return append(append(b, `,"label":`...), p.label...)
}

func appendErrorsOf(b []byte, errs []*Error) []byte {
	if len(errs) == 0 {
		return b
	}
	return appendErrors(append(b, ','), errs)
}

func comma(b []byte) []byte {
	if len(b) > 0 {
		return append(b, ',')
	}
	return b
}
