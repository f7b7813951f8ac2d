// One row per control of the server's schema: a slider, a switch, a choice or a text. The style has the gallery instead.

const KINDS = { number: slider, switch: toggle, choice: segments, text: field };
const MOST_SEGMENTS = 4; // of more choices there is a list

function title(name) {
  const words = name.replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}

export class Controls {
  #rows = new Map();

  /** `changed(values)` is called with what the user sets. */
  constructor(root, changed) {
    this.root = root;
    this.changed = changed;
  }

  build(schema) {
    this.root.replaceChildren();
    this.#rows.clear();
    for (const control of schema) {
      if (control.name === "style" || !(control.kind in KINDS)) continue;
      const row = document.createElement("div");
      row.className = "control";
      row.title = `${control.help}. Double click for ${shownDefault(control)}`;
      const label = document.createElement("label");
      label.textContent = title(control.name);
      label.htmlFor = `control-${control.name}`;
      row.append(label);
      const set = KINDS[control.kind](row, control, (value) =>
        this.changed({ [control.name]: value }),
      );
      row.addEventListener("dblclick", (event) => {
        if (event.target.matches("input:not([type=range]), .segments *")) return; // a word is marked, a choice made twice
        set(control.default);
        this.changed({ [control.name]: control.default });
      });
      this.#rows.set(control.name, set);
      this.root.append(row);
    }
  }

  /** Shows the server's values, but never pulls a slider out of the hand that holds it. */
  show(values) {
    for (const [name, set] of this.#rows) if (name in values) set(values[name], true);
  }
}

function shownDefault({ kind, default: value }) {
  if (kind === "switch") return value ? "on" : "off";
  return value === "" || value === null ? "none" : value;
}

function input(row, { name, help }, type) {
  const made = document.createElement("input");
  made.type = type;
  made.id = `control-${name}`;
  made.setAttribute("aria-description", help);
  row.append(made);
  return made;
}

function slider(row, control, changed) {
  const { low, high } = control;
  if (low === null || high === null) return number(row, control, changed);
  const output = document.createElement("output");
  output.htmlFor = `control-${control.name}`;
  row.append(output);
  const range = input(row, control, "range");
  const step = (high - low) / 100;
  Object.assign(range, { min: low, max: high, step });
  let held = false;
  const paint = () => {
    range.style.setProperty("--filled", `${((range.value - low) / (high - low)) * 100}%`);
    output.textContent = Number(range.value).toFixed(step < 1 ? 2 : 0);
  };
  range.addEventListener("pointerdown", () => (held = true));
  for (const end of ["pointerup", "pointercancel", "change"]) range.addEventListener(end, () => (held = false));
  range.addEventListener("input", () => {
    paint();
    changed(range.valueAsNumber);
  });
  return (value, fromServer = false) => {
    if (held && fromServer) return;
    range.value = value;
    paint();
  };
}

function number(row, control, changed) {
  const box = input(row, control, "number");
  if (control.low !== null) box.min = control.low;
  if (control.high !== null) box.max = control.high;
  box.step = "any";
  box.addEventListener("change", () => Number.isFinite(box.valueAsNumber) && changed(box.valueAsNumber));
  return (value, fromServer = false) => {
    if (!(fromServer && document.activeElement === box)) box.value = value;
  };
}

function toggle(row, control, changed) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "switch", id: `control-${control.name}` });
  button.setAttribute("role", "switch");
  button.setAttribute("aria-description", control.help);
  const set = (value) => button.setAttribute("aria-checked", String(Boolean(value)));
  button.addEventListener("click", () => {
    const value = button.getAttribute("aria-checked") !== "true";
    set(value);
    changed(value);
  });
  button.addEventListener("dblclick", (event) => event.stopPropagation()); // two clicks are two turns
  row.append(button);
  return set;
}

/** Radio buttons, drawn as one bar; arrow keys and the rest are the browser's. */
function segments(row, control, changed) {
  if (control.choices.length > MOST_SEGMENTS) return list(row, control, changed);
  const label = row.querySelector("label");
  label.id = `label-${control.name}`;
  label.removeAttribute("for");
  const bar = document.createElement("div");
  bar.className = "segments";
  bar.setAttribute("role", "radiogroup");
  bar.setAttribute("aria-labelledby", label.id);
  bar.setAttribute("aria-description", control.help);
  const buttons = control.choices.map((choice) => {
    const segment = document.createElement("label");
    const button = Object.assign(document.createElement("input"), { type: "radio", name: `control-${control.name}`, value: choice });
    button.addEventListener("change", () => changed(choice));
    segment.append(button, title(choice));
    bar.append(segment);
    return button;
  });
  row.append(bar);
  return (value) => buttons.forEach((button) => (button.checked = button.value === value));
}

function list(row, control, changed) {
  const box = document.createElement("select");
  box.id = `control-${control.name}`;
  box.setAttribute("aria-description", control.help);
  box.append(...control.choices.map((choice) => new Option(title(choice), choice)));
  box.addEventListener("change", () => changed(box.value));
  row.append(box);
  return (value) => (box.value = value);
}

function field(row, control, changed) {
  const box = input(row, control, "text");
  box.spellcheck = false;
  box.addEventListener("change", () => changed(box.value));
  return (value, fromServer = false) => {
    if (!(fromServer && document.activeElement === box)) box.value = value ?? "";
  };
}
