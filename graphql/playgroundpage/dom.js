/** The element with an id. */
export const $ = (id) => document.getElementById(id);

/** Makes an element of properties and children; what is empty is left out. Text stays text. */
export function el(tag, props, ...children) {
	const made = Object.assign(document.createElement(tag), props);
	made.append(...children.filter(Boolean));
	return made;
}
