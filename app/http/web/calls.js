// The request that the page just made, as commands to copy.

import { authorization, explainAddress, predictAddress } from "./api.js";
import { element } from "./format.js";

export function showCalls(details, { model, fileName, coverage, index, explained }) {
  const at = (path) => new URL(path, document.baseURI).href;
  const predict = at(predictAddress(model, coverage));
  const headers = { "Content-Type": "application/octet-stream", ...authorization() };
  const lines = Object.entries(headers).map(([name, value]) => `-H ${quote(`${name}: ${value}`)}`);
  const entries = Object.entries(headers).map(([name, value]) => `"${name}": ${JSON.stringify(value)}`).join(", ");
  const post = `${lines.join(" ")} --data-binary @${quote(fileName)}`;
  const calls = [["curl", `curl ${post} ${quote(predict)}`]];
  if (explained) {
    calls.push(["curl, where it looked", `curl -H 'Accept: image/png' ${post} ${quote(at(explainAddress(model, index)))} -o why.png`]);
  }
  calls.push(["Python", [
    "import requests",
    "",
    `with open(${JSON.stringify(fileName)}, "rb") as image:`,
    `    answer = requests.post(${JSON.stringify(predict)}, data=image, headers={${entries}})`,
    "answer.raise_for_status()",
    'for entry in answer.json()["predictions"][0]["classes"]:',
    "    print(f\"{entry['probability']:7.2%}  {entry['label']}\")",
  ].join("\n")]);
  details.replaceChildren(details.querySelector("summary"), ...calls.map(([name, text]) => {
    const code = element("pre", "", text);
    code.tabIndex = 0; // long lines scroll, by keyboard too
    code.setAttribute("aria-label", name);
    return element("div", "call", [element("p", "", [name, copyButton(name, text)]), code]);
  }));
}

function copyButton(name, text) {
  const button = element("button", "copy", "Copy");
  button.type = "button";
  button.setAttribute("aria-label", `Copy ${name}`);
  button.addEventListener("click", async () => {
    // Without TLS browsers offer no clipboard but on localhost.
    const done = await navigator.clipboard?.writeText(text).then(() => true, () => false);
    button.textContent = done ? "Copied" : "Select and copy it by hand";
  });
  return button;
}

const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
