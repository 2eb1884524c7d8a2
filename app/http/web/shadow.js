// The images of disagreements and the evidence in them, for holders of an admin key: the page itself has neither.

const field = document.querySelector("#key");
const trouble = document.querySelector("#trouble");

async function load(image, address) {
  const response = await fetch(address, { headers: { Authorization: `Bearer ${field.value.trim()}` } });
  if (!response.ok) throw new Error((await response.json()).detail);
  image.src = URL.createObjectURL(await response.blob());
  await image.decode();
  image.classList.toggle("tiny", image.naturalWidth < 100);
  image.hidden = false;
}

/** One row: what was sent, then what either model saw in it. Each is asked for once. */
async function show(row) {
  for (const image of row.querySelectorAll("img[data-source][hidden]")) {
    await load(image, image.dataset.source);
    if (image.previousSibling?.nodeName === "SPAN") image.previousSibling.remove(); // the word that one is kept
  }
}

// Evidence takes many runs of a network without pooling: only of rows that are looked at, one after the other.
let last = Promise.resolve();
const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    last = last.then(() => show(target)).catch((error) => { trouble.textContent = error.message; });
  }
});

document.querySelector("#key-form")?.addEventListener("submit", (event) => {
  event.preventDefault();
  trouble.textContent = "";
  for (const row of document.querySelectorAll("tr:has(img[data-source][hidden])")) {
    seen.unobserve(row); // of a key that was wrong
    seen.observe(row);
  }
});
