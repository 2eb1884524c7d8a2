// The most probable classes as bars. Each is a button: pressing it asks for the evidence for that class.

import { element, percent } from "./format.js";

export function showClasses(list, classes, chosen, onChoose) {
  const focused = [...list.children].findIndex((item) => item.contains(document.activeElement));
  list.replaceChildren(...classes.map(({ label, index, probability }) => {
    const button = element("button", "", [
      element("span", "bar"), element("span", "name", label), element("span", "share", percent(probability)),
    ]);
    button.type = "button";
    button.title = `Show where the network finds ${label}`;
    button.setAttribute("aria-pressed", String(index === chosen));
    button.firstChild.style.width = `${probability * 100}%`;
    button.addEventListener("click", () => onChoose(index));
    return element("li", "", button);
  }));
  list.children[focused]?.firstChild.focus();
}
