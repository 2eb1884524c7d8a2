// Numbers and small elements, written one way everywhere.

export const percent = (share, digits = 1) => `${(share * 100).toFixed(digits)} %`;
export const count = (number) => number.toLocaleString("en-US");

/** `48 % (42 to 54 %)`: a share of `images` images with its 95 % interval (Wilson 1927), as artifact/figures/interval.py has it. */
export function share(part, images) {
  const z = 1.96;
  const middle = (part + z ** 2 / (2 * images)) / (1 + z ** 2 / images);
  const half = (z / (1 + z ** 2 / images)) * Math.sqrt((part * (1 - part)) / images + z ** 2 / (4 * images ** 2));
  const [low, high] = [Math.max(0, middle - half), Math.min(1, middle + half)];
  const digits = high - low >= 0.04 ? 0 : high - low >= 0.002 ? 1 : 2;
  const [shown, from, to] = [part, low, high].map((value) => (100 * value).toFixed(digits));
  const least = (100 - 10 ** -digits).toFixed(digits); // rounding makes no perfect score
  return `${part < 1 && Number(shown) === 100 ? least : shown} % (${from} to ${to} %)`;
}

export const milliseconds = (ms) => `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
export const beginSentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** An element with a class and a text (or child elements). */
export function element(tag, kind = "", content = []) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  made.append(...[content].flat());
  return made;
}
