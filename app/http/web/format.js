// Numbers and small elements, written one way everywhere.

export const percent = (share, digits = 1) => `${(share * 100).toFixed(digits)} %`;
export const count = (number) => number.toLocaleString("en-US");
export const milliseconds = (ms) => `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
export const beginSentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** An element with a class and a text (or child elements). */
export function element(tag, kind = "", content = []) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  made.append(...[content].flat());
  return made;
}
