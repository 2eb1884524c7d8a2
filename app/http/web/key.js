// The key that a service may ask for: a field that shows itself once it is needed.

import { useKey } from "./api.js";

const form = document.querySelector("#key-form");
const field = document.querySelector("#key");

/** Show the field; `refused` says that something the visitor did failed for lack of a key: the cursor goes there, too. */
export function askForKey(refused) {
  form.hidden = false;
  if (!refused) return;
  field.setAttribute("aria-invalid", "true");
  field.focus();
}

/** Calls `onKey()` when another key is to be used. */
export function watchKey(onKey) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    field.removeAttribute("aria-invalid");
    useKey(field.value.trim());
    onKey();
  });
}
