// A text area over its own text in colours, with marks, completion and keys.

import { el } from './dom.js';
import { tokens } from './lexer.js';

const maxColoured = 50_000; // characters
const maxOffers = 50;
const keywords = /^(query|mutation|subscription|fragment|on|true|false|null)$/;

export class Editor {
	marks = [];

	/** check finds problems, complete offers. */
	constructor(root, { label, hint, ...calls }) {
		Object.assign(this, calls);
		const id = `${root.id}-text`;
		this.paint = el('pre', { ariaHidden: 'true' });
		this.input = el('textarea', { id, spellcheck: false, autocapitalize: 'off', ariaAutoComplete: 'list' });
		this.list = el('ul', { id: `${id}-list`, role: 'listbox', ariaLabel: 'Completions', hidden: true });
		this.problem = el('button', { className: 'problem', ariaLive: 'polite', onclick: () => this.select(this.marks[0]) });
		this.input.setAttribute('aria-controls', this.list.id);
		root.append(el('div', { className: 'bar' }, el('label', { htmlFor: id }, label), el('small', {}, hint)),
			el('div', { className: 'text' }, this.paint, this.input, this.list), this.problem);
		this.listen();
	}

	listen() {
		this.input.oninput = ({ data }) => {
			this.refresh();
			this.changed();
			if (/[\w$@]$/.test(data ?? '')) this.open();
			else this.close();
		};
		this.input.onscroll = () => this.paint.scrollTo(this.input.scrollLeft, this.input.scrollTop);
		this.input.onkeydown = (event) => this.key(event);
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

	/** Checks again: the text or the schema is another. */
	refresh() {
		this.mark(this.check(this.value));
	}

	mark(marks) {
		this.marks = marks;
		this.problem.disabled = !marks.length;
		this.problem.textContent = `${marks[0]?.message ?? ''}${marks.length > 1 ? ` (1 of ${marks.length})` : ''}`;
		this.input.ariaInvalid = String(marks.length > 0);
		this.draw();
	}

	select({ start, end }) {
		this.input.focus();
		this.input.setSelectionRange(start, end);
	}

	draw() {
		const text = this.value;
		const list = text.length > maxColoured ? [] : tokens(text);
		const isWrong = (from, to) => (this.marks.some((m) => m.start < to && from < m.end) ? ' wrong' : '');
		let at = 0;
		const parts = list.flatMap((t) => {
			const before = text.slice(at, at = t.start);
			at = t.end;
			const kind = keywords.test(t.text) ? 'keyword' : t.kind;
			return [before, el('span', { className: kind + isWrong(t.start, t.end) }, t.text)];
		});
		this.paint.replaceChildren(...parts, text.slice(at), el('span', { className: isWrong(at, Infinity) }, ' '), '\n');
		this.input.onscroll();
	}

	open() {
		const caret = this.input.selectionStart;
		const { from, offers } = this.complete(this.value, caret);
		const typed = this.value.slice(from, caret).toLowerCase();
		const place = ({ text }) => text.toLowerCase().indexOf(typed);
		this.from = from;
		this.offers = offers.filter((o) => place(o) >= 0).sort((a, b) => place(a) - place(b)).slice(0, maxOffers);
		this.list.hidden = !this.offers.length;
		this.list.replaceChildren(...this.offers.map((o, i) => el('li', {
			id: `${this.list.id}-${i}`, role: 'option', title: o.info ?? '', className: o.deprecated ? 'deprecated' : '',
		}, el('span', {}, o.text), el('small', {}, o.detail))));
		if (this.offers.length) this.place();
	}

	/** Puts the list below the line, which is 20 pixels high in style.css. */
	place() {
		const lines = this.value.slice(0, this.from).split('\n');
		const { style, offsetWidth, parentElement: box } = this.list;
		style.left = `max(0px, min(${lines.at(-1).length}ch - ${this.input.scrollLeft}px, ${box.clientWidth - offsetWidth}px))`;
		style.top = `${lines.length * 20 + 8 - this.input.scrollTop}px`;
		this.choose(0);
	}

	choose(i) {
		const items = [...this.list.children];
		this.chosen = (i + items.length) % items.length;
		items.forEach((li, n) => (li.ariaSelected = String(n === this.chosen)));
		items[this.chosen].scrollIntoView({ block: 'nearest' });
		this.input.setAttribute('aria-activedescendant', items[this.chosen].id);
	}

	close() {
		this.list.hidden = true;
		this.input.removeAttribute('aria-activedescendant');
	}

	accept(i) {
		const { insert, text } = this.offers[i];
		this.input.setSelectionRange(this.from, this.input.selectionStart);
		this.insert(insert ?? text);
		this.close();
	}

	/** Types text, so that it can be undone. */
	insert(text) {
		this.input.focus();
		document.execCommand('insertText', false, text);
	}

	replace(text) {
		this.input.select();
		this.insert(text);
	}

	key(event) {
		const { key, shiftKey } = event;
		const ctrl = event.ctrlKey || event.metaKey;
		const listed = !this.list.hidden;
		let done = true;
		if (ctrl && key === 'Enter') this.run();
		else if (ctrl && key === ' ') this.open();
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
		const indent = /^ */.exec(before.slice(before.lastIndexOf('\n') + 1))[0];
		this.insert(`\n${indent}${/[([{]$/.test(before) ? '  ' : ''}`);
	}
}
