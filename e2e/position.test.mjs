// Positions: the text form and how frames move them.

import test from 'node:test';
import assert from 'node:assert/strict';
import { Position } from '../js/comm.js';

test('a position is written in its canonical form', () => {
  const p = new Position();
  p.set('user:ann', 'k3.2', 7);
  p.set('group:lobby', 'k3.1', 41);
  assert.equal(String(p), 'group:lobby@k3.1:41,user:ann@k3.2:7');
  assert.equal(String(new Position()), '');
});

test('every byte outside the plain ones is percent-encoded in capitals', () => {
  const p = new Position();
  p.set("group:a b,c@d%e'(f)*~!é😀", 'e', 1);
  assert.equal(String(p), 'group:a%20b%2Cc%40d%25e%27%28f%29%2A%7E%21%C3%A9%F0%9F%98%80@e:1');
  const q = new Position();
  q.set('group:A-Za-z0-9._-/:', 'e', 0);
  assert.equal(String(q), 'group:A-Za-z0-9._-/:@e:0');
});

test('logs are sorted as bytes, not as UTF-16 units', () => {
  const p = new Position();
  for (const log of ['g:\u{10000}', 'g:\uffff', 'g:b', 'g:B', 'g', 'g:']) p.set(log, 'e', 1);
  assert.deepEqual(p.logs(), ['g', 'g:', 'g:B', 'g:b', 'g:\uffff', 'g:\u{10000}']);
});

test('parse reads what toString writes', () => {
  for (const text of ['', 'all@a.1:0', 'group:a%20b@k3.1:41,user:%C3%A9@0:9007199254740991']) {
    assert.equal(String(Position.parse(text)), text);
  }
});

test('parse refuses what is not canonical', () => {
  const bad = ['x', 'a@e', '@e:1', 'a@:1', 'a@E:1', 'a@e:01', 'a@e:-1', 'a@e:1,', 'a@e:1,a@e:2', 'a%2fb@e:1', 'a%41@e:1', 'a%FF@e:1', 'a b@e:1', `a@${'e'.repeat(33)}:1`];
  for (const text of bad) {
    assert.throws(() => Position.parse(text), { name: 'CommError', code: 'bad_position' }, text);
  }
});

test('frames move a position', () => {
  const p = new Position();
  const steps = [
    // A log that was not joined is not ours.
    [{ type: 'm', log: 'g', epoch: 'a', offset: 3 }, false, ''],
    [{ op: 'gap', log: 'g', epoch: 'a', from: 1, to: 3 }, false, ''],
    [{ op: 'joined', group: 'g', log: 'g', epoch: 'a', offset: 4 }, true, 'g@a:4'],
    [{ type: 'm', log: 'g', epoch: 'a', offset: 5 }, true, 'g@a:5'],
    // A client may not see every offset, and none takes it back.
    [{ type: 'm', log: 'g', epoch: 'a', offset: 9 }, true, 'g@a:9'],
    [{ type: 'm', log: 'g', epoch: 'a', offset: 7 }, false, 'g@a:9'],
    [{ op: 'gap', log: 'g', epoch: 'a', from: 10, to: 40 }, true, 'g@a:40'],
    // A new epoch begins before its first message.
    [{ op: 'gap', log: 'g', epoch: 'b', from: 41 }, false, 'g@a:40'],
    [{ type: 'm', log: 'g', epoch: 'b', offset: 1 }, true, 'g@b:1'],
    // joined says from where it goes on, also behind.
    [{ op: 'joined', group: 'g', log: 'g', epoch: 'b', offset: 0 }, true, 'g@b:0'],
    [{ op: 'joined', group: 'h' }, false, 'g@b:0'],
    [{ op: 'left', group: 'g', log: 'g' }, true, ''],
    [{ op: 'left', group: 'g', log: 'g' }, false, ''],
  ];
  for (const [frame, changed, text] of steps) {
    assert.equal(p.observe(frame), changed, JSON.stringify(frame));
    assert.equal(String(p), text, JSON.stringify(frame));
  }
});
