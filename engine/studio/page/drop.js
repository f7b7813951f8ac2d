// A picture dropped anywhere, pasted, or chosen from a file becomes a style.

import { ask } from "/page/api.js";
import { presetName } from "/page/presets.js";

const MOST = 20_000_000; // bytes, as the server takes
const TYPES = ["image/jpeg", "image/png", "image/webp"];

/** Sends a picture; returns the new style's entry. Throws an Error in one line. */
async function upload(file) {
  if (!TYPES.includes(file.type)) throw new Error("A style can be made of a JPEG, PNG or WebP picture");
  if (file.size > MOST) throw new Error(`The picture has ${Math.round(file.size / 1e6)} MB; at most 20 can be used`);
  const name = presetName(file.name.replace(/\.[^.]*$/, "")) || "picture";
  return ask(`/api/styles?name=${encodeURIComponent(name)}`, { method: "POST", body: file, type: file.type });
}

/** `began(file)`, then `added(style)` or `failed(error)`. */
export function acceptPictures({ veil, input, began, added, failed }) {
  const take = async (file) => {
    if (!file) return;
    began(file);
    try {
      added(await upload(file));
    } catch (error) {
      failed(error);
    }
  };
  let depth = 0; // dragging over a child enters it before it leaves the parent
  const carriesFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragenter", (event) => {
    if (!carriesFile(event)) return;
    depth += 1;
    veil.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (!carriesFile(event)) return;
    depth = Math.max(0, depth - 1);
    veil.hidden = depth === 0;
  });
  addEventListener("dragover", (event) => carriesFile(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    depth = 0;
    veil.hidden = true;
    if (!carriesFile(event)) return;
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => take([...(event.clipboardData?.files ?? [])].find((file) => TYPES.includes(file.type))));
  input.addEventListener("change", () => {
    take(input.files[0]);
    input.value = "";
  });
}
