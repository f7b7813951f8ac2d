// The paintings: choose one, mix in a second, add a picture, take an own one away.

import { pictureAddress } from "/page/api.js";
import { mixture, parseLook } from "/page/look.js";

const TOUCH = matchMedia("(pointer: coarse)");
const LONG = 500; // ms that a finger rests on a painting to mix it in

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

function button(name, label) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = name;
  if (label) made.setAttribute("aria-label", label);
  return made;
}

/** The title and artist as written on a museum's wall. */
export function wallText(style) {
  const cite = document.createElement("cite");
  cite.textContent = style.title;
  const by = style.own ? "your picture" : [style.artist, style.year].filter(Boolean).join(", ");
  return [cite, document.createTextNode(by)];
}

export class Gallery extends EventTarget {
  styles = [];
  look = "";
  #tiles = new Map(); // name -> its button
  #pictures = new Map(); // name -> address of its thumbnail
  #becoming = "";
  #shown = false; // whether the chosen painting was scrolled to

  /** Events: `look` (detail: the text of the control), `add`, `remove` (detail: the style). */
  constructor() {
    super();
    const el = (id) => document.getElementById(id);
    Object.assign(this, { root: el("gallery"), hint: el("hint"), mix: el("mix"), amount: el("mix-amount"), pick: el("pick-mix") });
    this.ends = [el("mix-a"), el("mix-b")];
    this.amount.addEventListener("input", () => this.#choose(mixture(...this.pair, this.amount.valueAsNumber)));
    el("mix-end").addEventListener("click", () => this.#choose(this.pair[0]));
    this.pick.addEventListener("click", () => this.picking(!this.isPicking));
    this.root.addEventListener("keydown", (event) => this.#key(event));
    this.root.addEventListener("pointerleave", () => this.#tell(null));
  }

  /** The two names of a mixture; of one style alone, that one. */
  get pair() {
    return parseLook(this.look).map((part) => part.name);
  }

  get isPicking() {
    return this.pick.getAttribute("aria-pressed") === "true";
  }

  /** Whether the next choice is mixed in instead of taking the first one's place. */
  picking(on) {
    this.pick.setAttribute("aria-pressed", String(on));
    this.#tell(null);
  }

  build(styles) {
    this.styles = styles;
    this.#tiles.clear();
    const add = button("add", "Add a picture to be painted in");
    add.append(icon("add"), "Your picture");
    add.addEventListener("click", () => this.dispatchEvent(new Event("add")));
    const own = styles.filter((style) => style.own);
    const rest = styles.filter((style) => !style.own);
    this.root.replaceChildren(add, ...[...own, ...rest].map((style) => this.#tile(style)));
    this.#tell(null);
    this.#shown = false;
    this.show(this.look);
  }

  #tile(style) {
    const tile = document.createElement("div");
    tile.className = "tile";
    const paint = button("paint", style.own ? `${style.title}, your picture` : `${style.title}, ${style.artist}, ${style.year}`);
    paint.setAttribute("role", "radio");
    paint.dataset.name = style.name;
    const image = document.createElement("img");
    image.alt = "";
    image.loading = "lazy";
    const named = () => paint.replaceChildren(style.title); // without a picture its name still works
    image.addEventListener("error", named);
    this.#picture(style).then((address) => (image.src = address), named);
    paint.append(image);
    this.#pressed(paint, style.name);
    paint.addEventListener("pointerenter", () => this.#tell(style));
    paint.addEventListener("focus", () => this.#tell(style));
    paint.addEventListener("blur", () => this.#tell(null));
    const caption = document.createElement("p");
    caption.className = "caption";
    caption.append(...wallText(style));
    caption.setAttribute("aria-hidden", "true");
    tile.append(paint, caption);
    if (style.own) {
      const remove = button("remove", `Remove ${style.title}`);
      remove.append(icon("close"));
      remove.addEventListener("click", () => this.dispatchEvent(new CustomEvent("remove", { detail: style })));
      tile.append(remove);
    }
    this.#tiles.set(style.name, paint);
    return tile;
  }

  #pressed(paint, name) {
    let timer = 0;
    let long = false;
    paint.addEventListener("pointerdown", (event) => {
      long = false;
      if (event.pointerType === "mouse") return;
      timer = setTimeout(() => {
        long = true;
        this.choose(name, true);
      }, LONG);
    });
    for (const end of ["pointerup", "pointercancel", "pointerleave"]) paint.addEventListener(end, () => clearTimeout(timer));
    paint.addEventListener("contextmenu", (event) => long && event.preventDefault());
    paint.addEventListener("click", (event) => {
      if (!long) this.choose(name, event.shiftKey || this.isPicking);
    });
  }

  async #picture(style) {
    if (!this.#pictures.has(style.name)) this.#pictures.set(style.name, pictureAddress(style.thumbnail));
    return this.#pictures.get(style.name);
  }

  /** Forgets the thumbnail of a name that is taken away: the name may come back with another picture. */
  forget(name) {
    this.#pictures.delete(name);
  }

  choose(name, mixed = false) {
    const [first] = this.pair;
    this.picking(false);
    this.#choose(mixed && first && first !== name ? mixture(first, name, 0.5) : name);
  }

  /** The style `step` places further, or the one at `place` (from 0). */
  step(step) {
    const names = [...this.#tiles.keys()];
    if (!names.length) return;
    const at = names.indexOf(this.pair[0]);
    this.choose(names[(at + step + names.length) % names.length]);
  }

  at(place) {
    const name = [...this.#tiles.keys()][place];
    if (name) this.choose(name);
  }

  #choose(look) {
    this.show(look);
    this.dispatchEvent(new CustomEvent("look", { detail: look }));
  }

  /** Shows the look that is set, by this page or by others. */
  show(look) {
    const [before] = this.look ? this.pair : [];
    this.look = look;
    const parts = parseLook(look);
    const [first, second] = parts.map((part) => part.name);
    for (const [name, paint] of this.#tiles) {
      paint.setAttribute("aria-checked", String(name === first));
      paint.classList.toggle("second", parts.length > 1 && parts.slice(1).some((part) => part.name === name));
      paint.tabIndex = name === first ? 0 : -1;
      if (name === first && (first !== before || !this.#shown)) this.reveal();
    }
    if (!this.#tiles.has(first)) this.root.querySelector(".paint")?.setAttribute("tabindex", "0");
    this.#shown = this.#tiles.has(first);
    const mixed = parts.length === 2 && this.#tiles.has(first) && this.#tiles.has(second);
    this.mix.hidden = !mixed;
    if (!mixed) return;
    this.amount.value = parts[1].weight;
    this.amount.setAttribute("aria-valuetext", `${Math.round(parts[1].weight * 100)} % ${this.#named(second).title}`);
    [first, second].forEach((name, index) => this.#end(this.ends[index], this.#named(name)));
  }

  /** Scrolls the gallery alone, never the page, until the chosen painting is seen. */
  reveal() {
    const paint = this.#tiles.get(this.pair[0]);
    if (!paint) return;
    const box = this.root.getBoundingClientRect();
    const own = paint.getBoundingClientRect();
    const by = (start, end, low, high) => (start < low ? start - low - 8 : end > high ? end - high + 8 : 0);
    this.root.scrollBy({ left: by(own.left, own.right, box.left, box.right), top: by(own.top, own.bottom, box.top, box.bottom) });
  }

  /** Marks the painting that is being made ready. */
  becoming(look) {
    if (look === this.#becoming) return;
    this.#becoming = look;
    const names = look ? parseLook(look).map((part) => part.name) : [];
    for (const [name, paint] of this.#tiles) paint.classList.toggle("becoming", names.includes(name));
  }

  #end(end, style) {
    if (end.dataset.name === style.name) return;
    end.dataset.name = style.name;
    end.title = style.title;
    const image = document.createElement("img");
    image.alt = style.title;
    this.#picture(style).then((address) => (image.src = address), () => {});
    end.replaceChildren(image);
  }

  #named(name) {
    return this.styles.find((style) => style.name === name) ?? { name, title: name, artist: "", year: "", own: true };
  }

  /** [title, artist] of a look, for the label under the picture. */
  describe(look) {
    const parts = parseLook(look).map((part) => this.#named(part.name));
    if (parts.length > 1) return [parts.map((style) => style.title).join(" with "), ""];
    return [parts[0].title, parts[0].own ? "" : [parts[0].artist, parts[0].year].filter(Boolean).join(", ")];
  }

  #tell(style) {
    if (style) this.hint.replaceChildren(...wallText(style));
    else if (this.isPicking) this.hint.textContent = "Choose the painting to mix in";
    else this.hint.textContent = TOUCH.matches ? "Hold a painting to mix it in" : "Shift and click mixes a painting in";
  }

  #key(event) {
    const name = event.target.dataset?.name;
    if (!name) return;
    const names = [...this.#tiles.keys()];
    const at = names.indexOf(name);
    const { display, gridTemplateColumns } = getComputedStyle(this.root);
    const columns = display === "grid" ? gridTemplateColumns.split(" ").length : 1;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (step !== undefined && !event.altKey && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      event.stopPropagation();
      const next = this.#tiles.get(names[Math.min(names.length - 1, Math.max(0, at + step))]);
      next.focus();
      if (!event.shiftKey && !this.isPicking) this.choose(next.dataset.name);
    } else if (event.key === "Delete") {
      const style = this.#named(name);
      if (style.own) this.dispatchEvent(new CustomEvent("remove", { detail: style }));
    } else if (event.key === "Enter" && event.shiftKey) {
      event.preventDefault();
      this.choose(name, true);
    }
  }
}
