// What makes two responses equal.

import { parseConstValue, print, visit } from 'graphql';

const show = (r) => JSON.stringify(r)?.slice(0, 1500);

/**
 * Says how the answers of npm graphql and of package graphql differ, or "". want.all has, where a null has
 * gone up, all errors that there are.
 */
export function compare(query, want, got) {
  if (want.responses.length !== got.responses.length || Boolean(want.source) !== Boolean(got.source)) {
    return `at ${want.stage}: ${want.responses.length} responses are ${got.responses.length}\nwant ${show(want.responses)}\ngot  ${show(got.responses)}`;
  }
  for (const [i, w] of want.responses.entries()) {
    const what = new Comparison(query, want.stage, w, got.responses[i]).difference(want.all?.[i]);
    if (what) return `at ${want.stage}, ${what}\nwant ${show(w)}\ngot  ${show(got.responses[i])}`;
  }
  return '';
}

export class Comparison {
  constructor(query, stage, want, got) {
    Object.assign(this, { lines: query.split(/\r\n|\n|\r/), stage, want, got });
  }

  difference(all) {
    const { want, got, stage } = this;
    if ('data' in want !== 'data' in got) return 'the key data';
    if (text(want.data) !== text(got.data)) return 'data';
    if (stage === 'validate' || stage === 'parse') return got.errors?.length > 0 ? '' : 'accepted';
    const errors = [this.identities(want.errors, true), this.identities(got.errors, false)];
    if (all) return this.withNulls(errors, all);
    return text(errors[0]) === text(errors[1]) ? '' : `errors\n${errors[0].join(' | ')}\n${errors[1].join(' | ')}`;
  }

  /**
   * Where a null has gone up, an executor may stop what stands beside it (specification 6.4.4), so which of
   * several errors it tells depends on its order. They must be errors that there are, and one of them must
   * be for each null.
   */
  withNulls([want, got], all) {
    const known = new Set(this.identities(all, true));
    const invented = got.filter((e) => !known.has(e));
    if (invented.length > 0) return `errors that are none: ${invented.join(' | ')}; there are\n${[...known].join(' | ')}`;
    const nulls = [this.want, this.got].map(({ errors }) => text([...new Set((errors ?? []).map((e) => text(standing(this.want.data, e.path))))].sort()));
    return nulls[0] === nulls[1] ? '' : `nulls with an error\n${nulls[0]}\n${nulls[1]}\nerrors\n${want.join(' | ')}\n${got.join(' | ')}`;
  }

  /** What of errors must be equal: never their text. */
  identities(errors = [], utf16) {
    const list = errors.map((e) => (this.stage === 'variables' ? '' : `${text(e.path ?? null)} at `) + this.places(e, utf16));
    return this.stage === 'variables' ? [...new Set(list)] : list;
  }

  /** Where an error is. npm graphql counts columns in UTF-16 units, package graphql in code points. */
  places({ locations }, utf16) {
    return (locations ?? []).map(({ line, column }) => `${line}:${utf16 ? [...this.lines[line - 1].slice(0, column - 1)].length + 1 : column}`).join(' ');
  }
}

/** JSON whose default values, which introspection gives as literals, are written in one way. */
export function text(value) {
  return JSON.stringify(value, (key, v) => (key === 'defaultValue' && typeof v === 'string' ? literal(v) : v));
}

export function literal(source) {
  return print(visit(parseConstValue(source), { StringValue: (node) => ({ ...node, block: false }) }));
}

/** The path of the null that an error has made. */
export function standing(data, path) {
  if (!path) return [];
  let at = data;
  for (const [i, step] of path.entries()) {
    if (at === null || at === undefined) return path.slice(0, i);
    at = at[step];
  }
  return path;
}

/** Tells whether the error of a path has made something above it null. */
export function nulled(data, path) {
  return Boolean(path) && standing(data, path).length < path.length;
}
