// Tokens of GraphQL and of JSON, for colouring, checking and formatting.

const graphql = new RegExp([
  /(?<space>[\s,\ufeff]+)/, /(?<comment>#.*)/, /(?<string>"""(?:\\"""|[^])*?"""|"(?:\\.|[^"\\\n])*")/,
  /(?<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/, /(?<name>[A-Za-z_]\w*)/, /(?<variable>\$\w*)/, /(?<directive>@\w*)/,
  /(?<punct>\.{3}|[!&()[\]{}:=|])/, /(?<bad>[^])/,
].map((r) => r.source).join('|'), 'g');

const json = new RegExp([
  /(?<space>[ \t\r\n]+)/, /(?<string>"(?:\\(?:["\\/bfnrt]|u[\da-fA-F]{4})|[^"\\\u0000-\u001f])*")/,
  /(?<number>-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/, /(?<name>true|false|null)/, /(?<punct>[{}[\],:])/, /(?<bad>[^])/,
].map((r) => r.source).join('|'), 'g');

function scan(pattern, text) {
  const list = [];
  for (const match of text.matchAll(pattern)) {
    const kind = Object.keys(match.groups).find((name) => match.groups[name] !== undefined);
    if (kind !== 'space') list.push({ kind, text: match[0], start: match.index, end: match.index + match[0].length });
  }
  return list;
}

export const tokens = (text) => scan(graphql, text);
export const jsonTokens = (text) => scan(json, text);

/** The offset of a line and a column, which count from 1. */
export function offsetOf(text, { line, column }) {
  const before = text.split('\n').slice(0, line - 1);
  return before.join('\n').length + (before.length ? 1 : 0) + column - 1;
}

/** What keeps a text from being a JSON object, as a list of at most one; an empty text is none. */
export function checkJSON(text) {
  const list = jsonTokens(text);
  if (!list.length) return [];
  let at = 0;
  const fail = (message, { start, end } = list[at] ?? { start: text.length, end: text.length }) => {
    throw { start, end, message };
  };
  const skip = (punct) => list[at]?.text === punct && ++at;
  const many = (end, item) => {
    if (skip(end)) return;
    do item(); while (skip(','));
    if (!skip(end)) fail(`Expected "," or "${end}".`);
  };
  const value = () => {
    if (skip('{')) many('}', member);
    else if (skip('[')) many(']', value);
    else if (['string', 'number', 'name'].includes(list[at]?.kind)) at++;
    else fail('Expected a JSON value.');
  };
  const member = () => {
    if (list[at]?.kind !== 'string') fail('Expected a name in double quotes.');
    at++;
    if (!skip(':')) fail('Expected ":".');
    value();
  };
  try {
    if (list[0].text !== '{') fail('Expected an object: {"name": value}.');
    value();
    if (at < list.length) fail('Nothing may follow the object.');
    return [];
  } catch (problem) {
    if (problem instanceof Error) return [{ start: 0, end: 1, message: 'This is nested too deep.' }];
    return [problem];
  }
}
