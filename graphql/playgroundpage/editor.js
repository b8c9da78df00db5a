// A text area over its own text in colours, with marks, completion and keys.

import { el } from './dom.js';

const maxColoured = 50_000; // characters
const maxOffers = 50;
let count = 0;

export class Editor {
  marks = []; // what check found, and what mark was told
  offers = [];
  chosen = 0;

  /** tokens colours, check finds problems, complete offers; what changed and run are called for. */
  constructor(root, { label, hint = '', tokens, check, complete = () => ({ offers: [] }), changed, run }) {
    Object.assign(this, { root, tokens, check, complete, changed, run });
    const id = `editor${++count}`;
    this.paint = el('pre', { ariaHidden: 'true' });
    this.input = el('textarea', { id, spellcheck: false, autocapitalize: 'off', wrap: 'off', ariaAutoComplete: 'list' });
    this.list = el('ul', { id: `${id}-list`, role: 'listbox', ariaLabel: 'Completions', hidden: true });
    this.problem = el('button', { className: 'problem', type: 'button', disabled: true, onclick: () => this.select(this.marks[0]) });
    this.problem.setAttribute('aria-live', 'polite');
    this.input.setAttribute('aria-controls', this.list.id);
    root.append(el('div', { className: 'bar' }, el('label', { htmlFor: id }, label), el('small', {}, hint)),
      el('div', { className: 'text' }, this.paint, this.input, this.list), this.problem);
    this.input.oninput = ({ data }) => this.edited(data);
    this.input.onscroll = () => this.follow();
    this.input.onkeydown = (event) => this.key(event);
    this.input.onkeyup = this.input.onclick = () => this.draw();
    this.input.onblur = () => this.close();
    this.list.onmousedown = (event) => {
      event.preventDefault();
      this.accept([...this.list.children].indexOf(event.target.closest('li')));
    };
  }

  get value() {
    return this.input.value;
  }

  set value(text) {
    this.input.value = text;
    this.close();
    this.refresh();
  }

  edited(data) {
    this.refresh();
    this.changed?.();
    if (data && /[\w$@]$/.test(data)) this.open();
    else this.close();
  }

  /** Checks again: the text or the schema is another. */
  refresh() {
    this.mark(this.check(this.value));
  }

  mark(marks) {
    this.marks = marks;
    this.problem.disabled = !marks.length;
    this.problem.textContent = marks.length ? `${marks[0].message}${marks.length > 1 ? ` (1 of ${marks.length})` : ''}` : '';
    this.input.ariaInvalid = String(marks.length > 0);
    this.draw();
  }

  select({ start, end }) {
    this.input.focus();
    this.input.setSelectionRange(start, end);
  }

  // Colours.

  draw() {
    const text = this.value;
    const parts = [];
    const list = text.length > maxColoured ? [] : this.tokens(text);
    const pair = this.pair(list);
    let at = 0;
    for (const t of list) {
      const wrong = this.marks.some((m) => m.start < t.end && t.start < m.end);
      parts.push(text.slice(at, t.start), el('span', { className: `${t.kind}${wrong ? ' wrong' : ''}${pair.includes(t) ? ' pair' : ''}` }, t.text));
      at = t.end;
    }
    const open = this.marks.some((m) => m.start >= at);
    this.paint.replaceChildren(...parts, text.slice(at), el('span', { className: open ? 'wrong' : '' }, ' '), '\n');
    this.follow();
  }

  /** The brackets of which one is at the caret. */
  pair(list) {
    const caret = this.input.selectionStart;
    const open = [];
    for (const t of list) {
      if (/^[([{]$/.test(t.text)) open.push(t);
      if (!/^[)\]}]$/.test(t.text)) continue;
      const other = open.pop();
      if (other && [t.end, t.start, other.end, other.start].includes(caret)) return [other, t];
    }
    return [];
  }

  follow() {
    this.paint.scrollTo(this.input.scrollLeft, this.input.scrollTop);
  }

  // Completion.

  open() {
    const caret = this.input.selectionStart;
    const { from, offers } = this.complete(this.value, caret);
    const typed = this.value.slice(from, caret).toLowerCase();
    const rank = ({ text }) => (text.toLowerCase().startsWith(typed) ? 0 : 1);
    this.offers = offers.filter((o) => o.text.toLowerCase().includes(typed)).sort((a, b) => rank(a) - rank(b)).slice(0, maxOffers);
    if (!this.offers.length || (this.offers.length === 1 && this.offers[0].text === this.value.slice(from, caret))) return this.close();
    this.from = from;
    this.list.replaceChildren(...this.offers.map((o, i) => el('li', { id: `${this.list.id}-${i}`, role: 'option', title: o.info ?? '', className: o.deprecated ? 'deprecated' : '' },
      el('span', {}, o.text), el('small', {}, o.detail ?? ''))));
    this.list.hidden = false;
    this.place();
    this.choose(0);
  }

  /** Puts the list below the line, or above it in the lower half. */
  place() {
    const lines = this.value.slice(0, this.from).split('\n');
    const { style, offsetWidth, parentElement: box } = this.list;
    const unit = parseFloat(getComputedStyle(this.input).lineHeight);
    const top = (lines.length - 1) * unit + 8 - this.input.scrollTop;
    const above = top > box.clientHeight / 2;
    style.left = `max(0px, min(${lines.at(-1).length}ch - ${this.input.scrollLeft}px, ${box.clientWidth - offsetWidth}px))`;
    style.top = above ? '' : `${top + unit}px`;
    style.bottom = above ? `${box.clientHeight - top}px` : '';
  }

  choose(i) {
    const items = this.list.children;
    this.chosen = (i + items.length) % items.length;
    [...items].forEach((li, n) => (li.ariaSelected = String(n === this.chosen)));
    items[this.chosen].scrollIntoView({ block: 'nearest' });
    this.input.setAttribute('aria-activedescendant', items[this.chosen].id);
  }

  close() {
    this.list.hidden = true;
    this.input.removeAttribute('aria-activedescendant');
  }

  accept(i) {
    const { insert, text } = this.offers[i] ?? {};
    this.input.setSelectionRange(this.from, this.input.selectionStart);
    this.insert(insert ?? text);
    this.close();
  }

  /** Types text, so that it can be undone. */
  insert(text) {
    this.input.focus();
    document.execCommand('insertText', false, text);
  }

  /** Puts another text in place of all, so that it can be undone. */
  replace(text) {
    if (text === this.value) return;
    this.input.select();
    this.insert(text);
  }

  // Keys.

  key(event) {
    const { key, ctrlKey, metaKey, shiftKey } = event;
    const listed = !this.list.hidden;
    let done = true;
    if ((ctrlKey || metaKey) && key === 'Enter') this.run();
    else if (ctrlKey && key === ' ') this.open();
    else if (listed && /^Arrow(Up|Down)$/.test(key)) this.choose(this.chosen + (key === 'ArrowDown' ? 1 : -1));
    else if (listed && /^(Enter|Tab)$/.test(key)) this.accept(this.chosen);
    else if (key === 'Enter' && !shiftKey) this.newLine();
    else if (key === 'Tab' && !shiftKey && !this.leaving) this.insert('  ');
    else done = false;
    this.leaving = key === 'Escape' && !listed; // then Tab goes to the next control
    if (key === 'Escape') this.close();
    if (done) event.preventDefault();
  }

  newLine() {
    const before = this.value.slice(0, this.input.selectionStart);
    const indent = /[^\n]*$/.exec(before)[0].match(/^ */)[0];
    const opened = /[([{]$/.test(before);
    const closes = opened && /^[)\]}]/.test(this.value.slice(this.input.selectionEnd));
    this.insert(`\n${indent}${opened ? '  ' : ''}`);
    if (!closes) return;
    const caret = this.input.selectionStart;
    this.insert(`\n${indent}`);
    this.input.setSelectionRange(caret, caret);
  }
}
