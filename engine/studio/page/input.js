// What is painted, how large, and by what: chosen while it runs.

const SIZES = ["640x360", "640x480", "960x540", "1280x720", "1920x1080"];
const NAMES = {
  auto: "Automatic",
  tensorrt: "TensorRT",
  "torch-cuda": "PyTorch, CUDA",
  openvino: "OpenVINO",
  onnxruntime: "ONNX Runtime",
  torch: "PyTorch",
};
const OWN = "own "; // before the name of a camera of this browser

/** The last part of a path, which is what a person calls a file; other addresses as they are. */
function named(source) {
  return source.includes("://") ? source : source.replace(/.*\//, "") || source;
}

export class Input extends EventTarget {
  #cameras = [new Option("Camera", OWN)];
  #sources = [];
  #source = "browser";
  camera = ""; // device of the browser's camera that is chosen; empty where the browser is to choose
  #told = "";

  /** Events: `camera` (detail: its device), `source` (a name), `size` ([width, height] or null) and `backend` (a name). */
  constructor({ source, size, backend }) {
    super();
    Object.assign(this, { source, size, backend });
    source.addEventListener("change", () => {
      const { value } = source;
      if (value.startsWith(OWN)) this.#emit("camera", value.slice(OWN.length));
      else this.#emit("source", value);
    });
    size.addEventListener("change", () => this.#emit("size", size.value ? size.value.split("x").map(Number) : null));
    backend.addEventListener("change", () => this.#emit("backend", backend.value));
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** `choices`: {sources, backends} as the server has them. */
  build({ sources, backends }) {
    this.#sources = sources.filter((name) => name !== "browser").map((name) => Object.assign(new Option(named(name), name), { title: name }));
    this.size.replaceChildren(new Option("As it comes", ""), ...SIZES.map((size) => new Option(size.replace("x", " × "), size)));
    this.backend.replaceChildren(...backends.map((name) => new Option(NAMES[name] ?? name, name)));
    this.#list();
  }

  /** The browser's cameras, whose names are known once one was allowed; `own` is the device that is used. */
  async look(own) {
    this.camera = own;
    const devices = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput");
    this.#cameras = devices.map(({ deviceId, label }, index) => new Option(label || `Camera ${index + 1}`, OWN + deviceId));
    this.#list();
  }

  #list() {
    const group = (label, options) => {
      const made = Object.assign(document.createElement("optgroup"), { label });
      made.append(...options);
      return made;
    };
    const groups = [group("This browser", this.#cameras), group("The studio", this.#sources)];
    this.source.replaceChildren(...(this.#sources.length ? groups : this.#cameras));
    this.#choose();
  }

  #choose() {
    this.source.value = this.#source === "browser" ? OWN + this.camera : this.#source;
    if (this.source.selectedIndex < 0) this.source.selectedIndex = 0;
  }

  /** What the server says; a choice that is just being made is left alone until that changes. */
  show({ source, asked }) {
    const told = JSON.stringify([source, asked]);
    if (told === this.#told) return;
    this.#told = told;
    this.#source = source;
    this.#choose();
    const size = asked.size?.join("x") ?? "";
    if (![...this.size.options].some(({ value }) => value === size)) this.size.add(new Option(size.replace("x", " × "), size));
    this.size.value = size;
    this.backend.value = asked.backend;
  }

  /** Shows what the server said last, after a choice that it refused. */
  restore() {
    const told = this.#told;
    this.#told = "";
    if (!told) return;
    const [source, asked] = JSON.parse(told);
    this.show({ source, asked });
  }
}
