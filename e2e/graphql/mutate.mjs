// Texts with a few tokens changed: most are wrong, in ways that nobody has thought of.

const token = /"""(?:\\"""|[^"]|"(?!""))*"""|"(?:\\.|[^"\\\n])*"|\.\.\.|[$@]?[_A-Za-z][_0-9A-Za-z]*|-?[0-9.]+(?:[eE][-+]?[0-9]+)?|[^\s,]/gu;

/** Gives the text with one to three of its tokens left out, doubled, exchanged or replaced by one of pool. */
export function mutate(text, random, pool) {
  const tokens = text.match(token);
  for (let n = 1 + random.below(3); n > 0; n--) {
    const at = random.below(tokens.length);
    const other = random.below(tokens.length);
    switch (random.below(5)) {
      case 0: tokens.splice(at, 1); break;
      case 1: tokens.splice(at, 0, tokens[at]); break;
      case 2: [tokens[at], tokens[other]] = [tokens[other], tokens[at]]; break;
      case 3: tokens[at] = tokens[other]; break;
      case 4: tokens[at] = random.one(pool);
    }
    if (tokens.length === 0) return '';
  }
  return tokens.join(' ');
}
