// The playground of package graphql in Chromium, under its Content-Security-Policy, against examples/graphql.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import test, { after, before } from 'node:test';
import { spawn } from 'node:child_process';
import { freePort, startBrowser, startProxy, until } from './live.mjs';

let addr, service;

before(async () => {
  addr = `127.0.0.1:${await freePort()}`;
  service = spawn(process.env.GRAPHQL_EXAMPLE, ['-addr', addr], { stdio: 'ignore' });
  await until('ready', () => fetch(`http://${addr}/graphql?query={__typename}`).then((r) => r.ok, () => false));
});

after(async () => {
  service.kill('SIGTERM');
  await once(service, 'exit');
});

/** Opens the page by the API's own address; problems collects what the browser complains of. */
async function openPage(t, base = `http://${addr}`, options = {}) {
  const browser = await startBrowser(t);
  const page = await browser.newPage(options);
  const problems = [];
  page.on('pageerror', (err) => problems.push(err.message));
  page.on('console', (m) => m.type() === 'error' && problems.push(m.text()));
  page.on('request', (r) => new URL(r.url()).host === new URL(base).host || r.url() === 'data:,' || problems.push(`outside: ${r.url()}`));
  await page.addInitScript(() => document.addEventListener('securitypolicyviolation', (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`)));
  await page.goto(`${base}/graphql`);
  await page.waitForFunction(() => document.querySelector('#docs').textContent.includes('NewBook'));
  return { page, problems, text: page.getByLabel('Document') };
}

const shows = (page, id, words) => page.waitForFunction(([id, words]) => document.getElementById(id).textContent.includes(words), [id, words]);

const addBook = async (title, genre = 'NOVEL') => {
  const query = 'mutation($b: NewBook!) { addBook(book: $b) { id } }';
  const body = JSON.stringify({ query, variables: { b: { title, author: 'Emily Dickinson', genre } } });
  const res = await fetch(`http://${addr}/graphql`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
  assert.equal((await res.json()).errors, undefined);
};

/** Puts a document with | where the caret is, asks for completions and gives their words. */
async function completions(page, text, marked) {
  const caret = marked.indexOf('|');
  await text.fill(marked.replace('|', ''));
  await text.evaluate((e, at) => e.setSelectionRange(at, at), caret);
  await text.press('Control+ ');
  return page.locator('#query [role=option]').evaluateAll((items) => items.map((li) => li.firstChild.textContent));
}

test('playground: completion by introspection', async (t) => {
  const { page, problems, text } = await openPage(t);
  for (const [marked, want] of [
    ['{ | }', ['books', 'book', 'search', '__typename']],
    ['{ books { author { na| } } }', ['name', '__typename']],
    ['{ books(| ) { id } }', ['first', 'genre']],
    ['{ books(genre: |) { id } }', ['NOVEL', 'POETRY']],
    ['query($g: [Genre!] = [|]) { books { id } }', ['NOVEL', 'POETRY']],
    ['mutation { addBook(book: {title: "x", | }) { id } }', ['author', 'genre', 'year']],
    ['{ search(text: "W") { ... on Bo| } }', ['Book']],
    ['query($n: Int!) { books(first: |) { id } }', ['$n']],
    ['{ books @in| { id } }', ['@include']],
    ['query($b: NewB|) { books { id } }', ['NewBook']],
    ['# n|', []],
  ]) {
    assert.deepEqual(await completions(page, text, marked), want, marked);
  }
  await completions(page, text, '{ books { ti| } }');
  await text.press('Enter');
  assert.equal(await text.inputValue(), '{ books { title } }');
  assert.deepEqual(problems, []);
});

test('playground: marks of what is wrong', async (t) => {
  const { page, problems, text } = await openPage(t);
  const marked = () => page.locator('#query .wrong').allTextContents();
  await text.fill('{ books(frist: 1) { id titel } }');
  assert.deepEqual(await marked(), ['frist', 'titel']);
  assert.match(await page.locator('#query .problem').innerText(), /frist.*1 of 2/);
  await text.fill('{ books { id }');
  assert.match(await page.locator('#query .problem').innerText(), /Expected }, found the end/);
  await text.fill('{ book(id: $x) { id } }');
  assert.deepEqual(await marked(), ['$x']);
  await page.getByLabel('Variables').fill('{"n": 1,}');
  assert.equal(await page.locator('#variables .wrong').count() > 0, true);
  await page.getByLabel('Variables').fill('');
  await text.fill('{ books(first: 1000) { id } }');
  assert.deepEqual(await marked(), []);
  await text.press('Control+Enter');
  await shows(page, 'result', '0 to 100 are allowed');
  assert.deepEqual(await marked(), ['books'], 'the place that the server names');
  assert.deepEqual(problems, []);
});

test('playground: a query with variables, one of several operations, tabs and history', async (t) => {
  const { page, problems, text } = await openPage(t);
  await text.fill('query One($n:Int!){books(first:$n){title author{name}}} query Two{poems:books(genre:POETRY){title}}');
  await page.getByRole('button', { name: 'Prettify' }).click();
  assert.equal(await text.inputValue(), 'query One($n: Int!) {\n  books(first: $n) {\n    title\n    author {\n      name\n    }\n  }\n}\n\nquery Two {\n  poems: books(genre: POETRY) {\n    title\n  }\n}\n');
  await page.getByLabel('Variables').fill('{"n": 2}');
  await text.press('Control+Enter');
  await shows(page, 'status', '200 OK');
  await shows(page, 'result', 'Silas Marner');
  assert.doesNotMatch(await page.locator('#result').innerText(), /Leaves/);
  await page.getByLabel('Operation').selectOption('Two');
  await page.getByRole('button', { name: 'Run' }).click();
  await shows(page, 'result', 'Leaves of Grass');
  await page.getByRole('button', { name: 'New tab' }).click();
  assert.match(await text.inputValue(), /__typename/);
  await page.reload();
  assert.deepEqual(await page.locator('#tabs li button:first-child').allInnerTexts(), ['One', 'Tab 2']);
  await page.getByRole('button', { name: 'History' }).click();
  await page.locator('#runs button').first().click();
  assert.match(await text.inputValue(), /query Two/);
  assert.deepEqual(problems, []);
});

test('playground: three events of a subscription over WebSocket, then stop', async (t) => {
  const { page, problems, text } = await openPage(t);
  await text.fill('subscription { bookAdded(genre: POETRY) { title } }');
  await text.press('Control+Enter');
  await shows(page, 'status', 'WebSocket');
  await addBook('No poem');
  for (let n = 1; n <= 3; n++) {
    await until(`event ${n}`, async () => {
      await addBook(`Poems ${n}`, 'POETRY');
      return (await page.locator('#result article').count()) >= n;
    });
  }
  assert.doesNotMatch(await page.locator('#result').innerText(), /No poem/);
  await page.getByRole('button', { name: 'Stop' }).click();
  await shows(page, 'status', 'Stopped: WebSocket');
  await shows(page, 'status', `, ${await page.locator('#result article').count()} events`); // one that came late had another added
  assert.deepEqual(problems, []);
});

test('playground: a subscription where WebSockets are refused', async (t) => {
  const proxy = await startProxy(addr);
  t.after(() => proxy.stop());
  proxy.refuse = (head) => /upgrade: websocket/i.test(head);
  const { page, text } = await openPage(t, proxy.url);
  await text.fill('subscription { bookAdded { title } }');
  await text.press('Control+Enter');
  await shows(page, 'status', 'Server-Sent Events');
  await addBook('By a stream');
  await shows(page, 'result', 'By a stream');
  await page.getByRole('button', { name: 'Stop' }).click();
  await shows(page, 'status', 'Stopped');
});

test('playground: the schema browser', async (t) => {
  const { page, problems } = await openPage(t, undefined, { viewport: { width: 1600, height: 900 } });
  await page.getByLabel('Search the schema').fill('initials');
  await page.getByRole('button', { name: 'Author.initials' }).click();
  await page.locator('#docs').getByRole('button', { name: 'Book' }).click();
  await shows(page, 'docs', 'genre: Genre!');
  await page.getByRole('button', { name: 'Back' }).click();
  await shows(page, 'docs', 'initials: String!');
  assert.deepEqual(problems, []);
});

for (const [width, height, colorScheme] of [[1600, 900, 'light'], [400, 850, 'dark']]) {
  test(`playground: fits ${width} pixels in ${colorScheme}`, async (t) => {
    const { page, problems } = await openPage(t, undefined, { viewport: { width, height }, colorScheme });
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= width, 'nothing stands over');
    const unnamed = await page.evaluate(() => [...document.querySelectorAll('button, input, select, textarea')]
      .filter((e) => !(e.labels?.length || e.ariaLabel || e.textContent.trim() || e.disabled)).map((e) => e.outerHTML));
    assert.deepEqual(unnamed, [], 'every control has a name');
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/playground-${width}-${colorScheme}.png`, fullPage: true });
    assert.deepEqual(problems, []);
  });
}
