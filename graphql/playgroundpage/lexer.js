// Tokens of GraphQL, of which JSON's are a part.

const pattern = /(?<space>[\s,\ufeff]+)|(?<comment>#.*)|(?<string>"""(?:\\"""|[^])*?"""|"(?:\\.|[^"\\\n])*")|(?<number>-?\d[\d.eE+-]*)|(?<name>[A-Za-z_]\w*)|(?<variable>\$\w*)|(?<directive>@\w*)|(?<punct>\.{3}|[!&()[\]{}:=|])|(?<bad>[^])/g;
export function tokens(text) {
	const list = [];
	for (const { 0: found, index, groups } of text.matchAll(pattern)) {
		const kind = Object.keys(groups).find((name) => groups[name] !== undefined);
		if (kind !== 'space') list.push({ kind, text: found, start: index, end: index + found.length });
	}
	return list;
}

/** The offset of a line and a column, which count from 1. */
export const offsetOf = (text, line, column) => text.split('\n').slice(0, line - 1).map((l) => `${l}\n`).join('').length + column - 1;

export const parseObject = (text) => {
	const value = JSON.parse(text.trim() ? text : '{}');
	if (!value || typeof value !== 'object' || Array.isArray(value)) throw new Error('An object is needed.');
	return value;
};

/** What keeps a text from being a JSON object, as a list of at most one. Browsers tell where in words. */
export function checkJSON(text) {
	try {
		parseObject(text);
		return [];
	} catch ({ message }) {
		const [, position, line, column] = /position (\d+)|line (\d+) column (\d+)/.exec(message) ?? [];
		const start = Math.min(position ?? (line ? offsetOf(text, line, column) : 0), text.length);
		return [{ start, end: start + 1, message }];
	}
}
