// Named sets of controls, kept by the server.

import { ask } from "/page/api.js";

const address = (name) => `/api/presets/${encodeURIComponent(name)}`;

/** A name as the server takes it: a-z, 0-9 and -, at most 40. */
export function presetName(text) {
  return text.normalize("NFD").toLowerCase().replace(/[\u0300-\u036f]/g, "").replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 40);
}

export class Presets {
  /** `current()` gives the controls to save, `recall(values)` sets them, `fail(error)` tells. */
  constructor({ root, form, current, recall, fail }) {
    Object.assign(this, { root, current, recall, fail });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const name = presetName(form.elements.name.value);
      if (!name) return;
      form.reset();
      this.#then(ask(address(name), { method: "PUT", json: this.current() }));
    });
  }

  load() {
    return this.#then(Promise.resolve());
  }

  async #then(done) {
    try {
      await done;
      this.#build(await ask("/api/presets"));
    } catch (error) {
      this.fail(error);
    }
  }

  #build(presets) {
    this.root.replaceChildren(
      ...Object.entries(presets).map(([name, values]) => {
        const chip = document.createElement("span");
        chip.className = "chip";
        const use = document.createElement("button");
        Object.assign(use, { type: "button", textContent: name, title: "Recall these settings" });
        use.addEventListener("click", () => this.recall(values));
        const remove = document.createElement("button");
        Object.assign(remove, { type: "button", className: "icon", textContent: "×", title: "Forget" });
        remove.setAttribute("aria-label", `Forget ${name}`);
        remove.addEventListener("click", () => this.#then(ask(address(name), { method: "DELETE" })));
        chip.append(use, remove);
        return chip;
      }),
    );
  }
}
