// How an image comes in: dropped, pasted, chosen, or taken from the samples. Drawing is in draw.js.

const drop = document.querySelector("#drop");
const file = document.querySelector("#file");
const preview = document.querySelector("#preview");
const hint = document.querySelector("#hint");

let address = "";

/** Calls `onImages(files)` with the images given together, `onTrouble(words)` for what is none. */
export function watchInput(onImages, onTrouble) {
  const take = (given) => {
    if (given.length) onImages([...given]);
    else onTrouble("There is no image file in that. Save the picture first, then drop the file.");
  };
  file.addEventListener("change", () => {
    if (file.files.length) take(file.files);
    file.value = ""; // so that choosing the same file again counts
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault(); // a picture dropped beside the frame must not replace the page
      drop.classList.toggle("over", kind === "dragover");
    });
  }
  document.addEventListener("drop", (event) => take(event.dataTransfer.files));
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(event.clipboardData.files);
  });
  preview.addEventListener("load", () => {
    preview.classList.toggle("tiny", preview.naturalWidth < 100);
    preview.hidden = false;
    hint.hidden = true;
  });
  preview.addEventListener("error", () => { // TIFF: the server reads what browsers can't show
    preview.hidden = true;
    hint.hidden = false;
  });
}

/** Shows an image in the frame and returns its address for other places. */
export function showPreview(blob) {
  URL.revokeObjectURL(address);
  address = URL.createObjectURL(blob);
  preview.src = address;
  return address;
}
