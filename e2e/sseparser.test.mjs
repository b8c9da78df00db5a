// The parser of event streams: the traps of WHATWG HTML 9.2, each stream also cut at every byte.

import test from 'node:test';
import assert from 'node:assert/strict';
import { SSEParser } from '../js/comm.js';

const event = (data, type = 'message', lastEventId = '') => ({ type, data, lastEventId });

const streams = [
  ['one line', 'data: a\n\n', [event('a')]],
  ['LF, CR and CRLF end lines', 'data: a\r\rdata: b\r\n\r\ndata: c\n\n', [event('a'), event('b'), event('c')]],
  ['CRLF is one end, not two', 'data: a\r\ndata: b\r\n\r\n', [event('a\nb')]],
  ['one byte order mark is dropped', '\ufeffdata: a\n\n', [event('a')]],
  ['the second is a part of the name', '\ufeff\ufeffdata: a\n\n', []],
  ['exactly one space is dropped', 'data:  a\ndata:b\ndata: \n\n', [event(' a\nb\n')]],
  ['a colon in the value stays', 'data: a: b\n\n', [event('a: b')]],
  ['a field without a colon is empty', 'data\n\ndata\ndata\n\n', [event(''), event('\n')]],
  ['a comment is no event', ': hi\n\n:\n\ndata: a\n\n', [event('a')]],
  ['an unknown field is ignored', 'foo: b\nDATA: c\ndata: a\n\n', [event('a')]],
  ['without data there is no event, and its type is forgotten', 'event: x\n\ndata: a\n\n', [event('a')]],
  ['a named event', 'event: control\ndata: a\n\ndata: b\n\n', [event('a', 'control'), event('b')]],
  ['the id stays', 'id: 7\ndata: a\n\ndata: b\n\n', [event('a', 'message', '7'), event('b', 'message', '7')]],
  ['the id counts without data', 'id: 7\n\ndata: b\n\n', [event('b', 'message', '7')]],
  ['an empty id resets', 'id: 7\ndata: a\n\nid\ndata: b\n\n', [event('a', 'message', '7'), event('b')]],
  ['an id with NUL is ignored', 'id: 7\n\nid: 8\0\ndata: a\n\n', [event('a', 'message', '7')]],
  ['an event without its blank line is discarded', 'data: a\n\ndata: b\n', [event('a')]],
  ['characters of several bytes', 'data: é😀\n\n', [event('é😀')]],
  ['bytes that are not UTF-8 are replaced', new Uint8Array([100, 97, 116, 97, 58, 255, 10, 10]), [event('\ufffd')]],
];

for (const [name, text, want] of streams) {
  test(name, () => {
    const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text;
    for (let cut = 0; cut <= bytes.length; cut++) {
      const got = [];
      const p = new SSEParser({ event: (e) => got.push(e) });
      p.push(bytes.subarray(0, cut));
      p.push(bytes.subarray(cut));
      assert.deepEqual(got, want, `cut at ${cut}`);
    }
    const got = [];
    const p = new SSEParser({ event: (e) => got.push(e) });
    for (const b of bytes) p.push(Uint8Array.of(b));
    assert.deepEqual(got, want, 'byte by byte');
  });
}

test('retry is taken when it is digits only', () => {
  const got = [];
  const p = new SSEParser({ retry: (ms) => got.push(ms) });
  p.push(new TextEncoder().encode('retry: 10\nretry: 1s\nretry: -1\nretry:\nretry: 1.5\nretry: 007\n\n'));
  assert.deepEqual(got, [10, 7]);
});

test('comments are handed on', () => {
  const got = [];
  const p = new SSEParser({ comment: (c) => got.push(c) });
  p.push(new TextEncoder().encode(':\n: alive\n'));
  assert.deepEqual(got, ['', ' alive']);
});

test('an event without end is refused, in one line or many', () => {
  const push = (text, n) => {
    const p = new SSEParser({ max: 1_000 });
    for (let i = 0; i < n; i++) p.push(new TextEncoder().encode(text));
  };
  assert.throws(() => push('data: a', 200), { code: 'too_large' });
  assert.throws(() => push('data: a\n', 600), { code: 'too_large' });
  assert.doesNotThrow(() => push('data: a\n\n', 600));
});
