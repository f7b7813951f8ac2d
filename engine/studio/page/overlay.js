// The bare painted picture, for OBS and the like. It comes back by itself, for ever.

import { ask } from "/page/api.js";
import { Connection } from "/page/connection.js";

const painted = document.getElementById("painted");
const connection = new Connection();

connection.addEventListener("stream", ({ detail: stream }) => {
  painted.hidden = !stream; // no picture rather than a frozen one
  painted.srcObject = stream;
});

/** Sets the controls named in the address, once: later changes come from the page or from outside. */
async function wish() {
  const wished = new URLSearchParams(location.search);
  const { controls } = await ask("/api/schema");
  const values = {};
  for (const { name, kind } of controls) {
    const text = wished.get(name);
    if (text === null) continue;
    if (kind === "number") values[name] = Number(text);
    else if (kind === "switch") values[name] = !["", "0", "false", "no", "off"].includes(text.toLowerCase());
    else values[name] = text;
  }
  if (Object.keys(values).length) await ask("/api/controls", { method: "PATCH", json: values });
}

wish().catch((error) => console.warn(error.message));
connection.join("viewer");
connection.open();
