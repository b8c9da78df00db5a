// The program that the tests of clients talk to: the handler alone, and the provider in a gateway.

import { start } from '../live.mjs';

/** Starts it; gives the urls, and stop(). */
export async function startServed() {
  const { match, stop } = await start(process.env.GRAPHQL_SUBJECT, ['serve'], /^listening on (\S+) and (\S+)$/);
  return { servers: { alone: match[1], gateway: match[2] }, stop };
}

export const wsURL = (url) => url.replace(/^http/, 'ws');
