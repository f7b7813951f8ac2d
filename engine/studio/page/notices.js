// What the page says: a banner while something is wrong, a short message for what was done.

const banner = document.getElementById("banner");
const toast = document.getElementById("toast");
const lines = { connection: "", failing: "", camera: "" }; // the first that is not empty is shown
let timer = 0;

/** Sets one cause of the banner; an empty text takes it away. */
export function warn(cause, text) {
  lines[cause] = text;
  const shown = Object.values(lines).find(Boolean) ?? "";
  if (banner.textContent !== shown) banner.textContent = shown;
  banner.hidden = !shown;
}

export function say(text) {
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => (toast.hidden = true), 4000);
}
