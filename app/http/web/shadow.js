// The images of disagreements, for holders of an admin key: the page itself doesn't have them.

const field = document.querySelector("#key");
const trouble = document.querySelector("#trouble");

async function show(image) {
  const response = await fetch(image.dataset.image, { headers: { Authorization: `Bearer ${field.value.trim()}` } });
  if (!response.ok) throw new Error((await response.json()).detail);
  image.src = URL.createObjectURL(await response.blob());
  image.addEventListener("load", () => image.classList.toggle("tiny", image.naturalWidth < 100));
  image.hidden = false;
  image.nextSibling?.remove(); // the word that one is kept
}

document.querySelector("#key-form")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  trouble.textContent = "";
  const results = await Promise.allSettled([...document.querySelectorAll("img[data-image][hidden]")].map(show));
  trouble.textContent = results.find((result) => result.status === "rejected")?.reason.message ?? "";
});
