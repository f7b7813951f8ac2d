// The picture: painted, before and after with a border that can be dragged, full screen, what is shown while nothing is.

import { Compare } from "/page/compare.js";

const IDLE = 2500; // ms without the pointer until full screen shows the picture alone

const el = (id) => document.getElementById(id);

export class Stage {
  #local = null;
  #split = 50; // percent of the shown picture, from the left
  #before = false;

  constructor() {
    this.root = el("stage");
    this.painted = el("painted");
    this.before = el("before");
    this.line = el("line");
    this.compare = new Compare(el("compare"), (on) => document.body.classList.toggle("compared", on));
    this.#drag();
    this.#rest();
    const place = () => this.#place();
    new ResizeObserver(place).observe(el("frame"));
    this.painted.addEventListener("resize", place);
  }

  /** The painted stream; null when it is gone: then the camera is shown rather than a frozen picture. */
  show(stream) {
    if (this.painted.srcObject !== stream) this.painted.srcObject = stream;
    this.#update();
  }

  get local() {
    return this.#local;
  }

  set local(stream) {
    this.#local = stream;
    this.before.srcObject = stream;
    this.#update();
  }

  get split() {
    return document.body.classList.contains("split");
  }

  set split(on) {
    document.body.classList.toggle("split", on);
    this.#update();
  }

  /** Shows what is painted instead of the painting; nothing is stopped. */
  toggleBefore() {
    this.#before = !this.#before;
    this.#update();
  }

  get mirror() {
    return document.body.classList.contains("mirror");
  }

  set mirror(on) {
    document.body.classList.toggle("mirror", on);
    this.compare.mirrored = on;
    this.compare.draw();
  }

  async toggleFull() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await this.root.requestFullscreen?.();
  }

  /** The own camera is at hand by itself; else what is painted is asked for, and always where the two are compared. */
  #update() {
    const painted = Boolean(this.painted.srcObject);
    const camera = Boolean(this.#local) && (this.#before || !painted);
    document.body.classList.toggle("unpainted", camera);
    this.line.hidden = !this.split || this.#before || !painted;
    this.compare.wanted = painted && !camera && (this.split || this.#before);
    this.#place();
  }

  /** Where the picture lies within its box, in pixels: it is fitted in, with bars left and right or above and below. */
  #shown() {
    const { clientWidth: width, clientHeight: height } = el("frame");
    const { videoWidth, videoHeight } = this.painted;
    const shown = videoWidth ? Math.min(width, (height * videoWidth) / videoHeight) : width;
    return { left: (width - shown) / 2, shown, width };
  }

  #place() {
    const { left, shown, width } = this.#shown();
    const share = width ? ((left + (shown * this.#split) / 100) / width) * 100 : this.#split;
    this.root.style.setProperty("--split", `${share}%`);
    this.line.setAttribute("aria-valuenow", String(Math.round(this.#split)));
    this.compare.share = this.#before ? 100 : this.#split;
    this.compare.draw();
  }

  #move(percent) {
    this.#split = Math.min(100, Math.max(0, percent));
    this.#place();
  }

  #drag() {
    const { line } = this;
    line.addEventListener("pointerdown", (event) => {
      line.setPointerCapture(event.pointerId);
      line.focus({ preventScroll: true });
    });
    line.addEventListener("pointermove", (event) => {
      if (!line.hasPointerCapture(event.pointerId)) return;
      const { left, shown } = this.#shown();
      this.#move(((event.clientX - el("frame").getBoundingClientRect().left - left) / shown) * 100);
    });
    line.addEventListener("dblclick", () => this.#move(50));
    line.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, Home: -100, End: 100 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      this.#move(this.#split + step);
    });
  }

  #rest() {
    let timer = 0;
    const wake = () => {
      this.root.classList.remove("idle");
      clearTimeout(timer);
      timer = setTimeout(() => this.root.classList.add("idle"), IDLE);
    };
    for (const name of ["pointermove", "pointerdown", "keydown"]) addEventListener(name, wake);
    wake();
  }
}
