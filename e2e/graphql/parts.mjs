// The responses of an operation in parts, put together as a client does.

import { Comparison, standing, text } from './compare.mjs';

/**
 * Puts responses together. It throws where a rule of the format is broken: each promise has an id of its own, is
 * completed once, and gets nothing before it is told or after it is completed; only the last response has no next.
 */
export function assembled(responses) {
  const [first, ...rest] = responses;
  const all = new Assembly(first);
  rest.forEach((r, i) => all.take(r, i === rest.length - 1));
  if (rest.length === 0) all.check(!first.hasNext && !first.pending, 'one response promises more');
  all.check(all.open.size === 0, `promised and not completed: ${[...all.open.keys()]}`);
  return all;
}

/** Puts responses together whose parts are told by path and label. The drafts of 2022 promise nothing. */
export function assembledByPath(responses) {
  const [first, ...rest] = responses;
  const all = new Assembly({ data: first.data, errors: first.errors });
  all.check(rest.length === 0 ? !first.hasNext : first.hasNext === true, `hasNext of the first response is ${first.hasNext}`);
  rest.forEach((r, i) => all.takeByPath(r, i === rest.length - 1));
  return all;
}

class Assembly {
  constructor(first) {
    Object.assign(this, { data: structuredClone(first.data), errors: [...(first.errors ?? [])], partErrors: [], pending: [], failed: [], deferred: 0, streamed: 0 });
    this.late = new Set(); // the paths of what did not come with the first response
    this.open = new Map(); // promises by id, with what has come of them
    this.ids = new Set();
    this.promise(first.pending);
    this.check(!first.pending || first.hasNext === true, 'the first response promises without hasNext');
  }

  check(ok, what) {
    if (!ok) throw new Error(what);
  }

  take(response, last) {
    const { pending = [], incremental = [], completed = [], hasNext, ...others } = response;
    this.check(Object.keys(others).length === 0, `a further response has ${Object.keys(others)}`);
    this.check(hasNext === !last, `hasNext is ${hasNext} ${last ? 'at the end' : 'before it'}`);
    this.check(last || pending.length + incremental.length + completed.length > 0, 'a response without content');
    this.promise(pending);
    for (const i of incremental) this.apply(i);
    for (const c of completed) this.complete(c);
  }

  promise(list = []) {
    for (const p of list) {
      this.check(typeof p.id === 'string' && !this.ids.has(p.id), `the id ${p.id} is told twice`);
      this.ids.add(p.id);
      const promise = { ...p, brought: [] };
      this.open.set(p.id, promise);
      this.pending.push(promise);
    }
  }

  apply({ id, subPath = [], data, items, errors = [] }) {
    const p = this.open.get(id);
    this.check(p, `data for ${id}, which is not open`);
    this.errors.push(...errors);
    this.partErrors.push(...errors);
    const path = [...p.path, ...subPath];
    const at = this.at(path);
    if (items) {
      this.check(Array.isArray(at), `items of ${id} are for what is no list`);
      p.brought.push(...items.map((_, i) => [...path, at.length + i]));
      at.push(...structuredClone(items));
      this.streamed++;
    } else {
      this.check(at !== null && typeof at === 'object' && !Array.isArray(at), `data of ${id} is for what is no object`);
      p.brought.push(...Object.keys(data).map((key) => [...path, key]));
      merge(at, structuredClone(data));
      this.deferred++;
    }
    p.brought.forEach((b) => this.late.add(text(b)));
  }

  at(path) {
    let at = this.data;
    for (const step of path) at = at?.[step];
    return at;
  }

  takeByPath({ incremental = [], hasNext, ...others }, last) {
    this.check(Object.keys(others).length === 0, `a further response has ${Object.keys(others)}`);
    this.check(hasNext === !last, `hasNext is ${hasNext} ${last ? 'at the end' : 'before it'}`);
    for (const i of incremental) this.applyByPath(i);
  }

  applyByPath({ path, label, data, items, errors = [] }) {
    this.partErrors.push(...errors);
    if (data === null || items === null) {
      // npm graphql leaves out the index of the element that failed, which its versions of that time had.
      const list = data !== null && Number.isInteger(path.at(-1)) && !Array.isArray(this.at(path)) ? path.slice(0, -1) : path;
      this.failed.push({ path: list, label, errors, stream: data !== null });
      return;
    }
    this.errors.push(...errors);
    if (items) {
      const at = this.at(path.slice(0, -1));
      this.check(Array.isArray(at) && at.length >= path.at(-1), `items at ${path} are for what is no list of this length`);
      merge(at, Object.fromEntries(items.map((item, i) => [path.at(-1) + i, structuredClone(item)]))); // two fragments may bring the same
      this.streamed++;
    } else {
      merge(this.at(path), structuredClone(data));
      this.deferred++;
    }
  }

  complete({ id, errors }) {
    const p = this.open.get(id);
    this.check(p, `${id} is completed, and not open`);
    this.open.delete(id);
    p.stream = Array.isArray(this.at(p.path));
    if (errors) this.failed.push({ ...p, errors });
  }
}

function merge(into, from) {
  for (const [key, value] of Object.entries(from)) {
    const old = into[key];
    if (old && value && typeof old === 'object' && typeof value === 'object') merge(old, value);
    else if (!old || value !== null) into[key] = value; // of two fragments one may have a null where the other has none
  }
}

/**
 * Says how what two executors have come to differs, or "". known are all errors that there are, but for those of
 * the directives themselves.
 */
export function compareAssembled(query, want, got, known) {
  const lists = [[want, true], [got, false]].map(([all, utf16]) => {
    const id = (errors) => new Comparison(query, 'execute').identities(errors, utf16);
    const once = (errors) => id(errors.map((e) => ({ path: e.path, locations: unique(e.locations) })));
    return {
      data: text(sorted(all.data)),
      failed: all.failed.map(promised).sort(),
      errors: id(all.errors).sort(),
      every: once([...all.errors, ...all.failed.flatMap((f) => f.errors)]),
      nulls: [...new Set(all.errors.map((e) => text(standing(want.data, e.path))))].sort(),
    };
  });
  const [w, g] = lists;
  const there = new Set([...new Comparison(query, 'execute').identities(known, true), ...w.every]);
  const invented = g.every.filter((e) => !there.has(e));
  if (invented.length > 0) return `errors that are none: ${invented.join(' | ')}; there are\n${[...there].join(' | ')}`;
  for (const [a, b] of [[want, got], [got, want]]) {
    const more = without(a, b);
    if (more.length > 0) return `promises of ${a === want ? 'npm' : 'package'} graphql alone: ${more.join(' | ')}`;
  }
  for (const what of ['data', 'failed', gone(want) ? 'nulls' : 'errors']) {
    if (text(w[what]) !== text(g[what])) return `${what}\n${text(w[what])}\n${text(g[what])}`;
  }
  return '';
}

/** Locations without those that come again: a fragment that is deferred at one place and not at another is looked at twice. */
const unique = (locations = []) => [...new Map(locations.map((l) => [text(l), l])).values()];

/**
 * Which promises one has made and the other has not. Free is one of a list that was over, and one of a fragment
 * whose fields the other has brought with those of another fragment, before it could be told.
 */
function without(one, other) {
  const left = other.pending.map(promised);
  const covered = (p) => p.brought.every((b) => !p.stream && b.some((_, i) => other.late.has(text(b.slice(0, i + 1)))));
  const more = [];
  for (const [p, free] of one.pending.map((p) => [p, covered(p)]).sort((x, y) => Number(x[1]) - Number(y[1]))) {
    const i = left.indexOf(promised(p));
    if (i >= 0) left.splice(i, 1);
    else if (!free) more.push(promised(p));
  }
  return more;
}

const promised = ({ label, path }) => text({ label, path });

/** Tells whether a null has gone up somewhere: then which error is told of it depends on the order. */
const gone = (all) => all.errors.some((e) => e.path && standing(all.data, e.path).length < e.path.length);

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.keys(value).sort().map((k) => [k, sorted(value[k])]));
}
