// Recordings with sound, and stills, of the painted picture; both are saved by the browser.

const TYPES = ["video/mp4;codecs=avc1.42E01F,mp4a.40.2", "video/webm;codecs=vp9,opus", "video/webm;codecs=vp8,opus", "video/webm"];
const BITRATE = 8_000_000; // strokes are fine detail

/** "alla prima 2026-11-21 10.32.05 starry-night.webm": sorts by time, and is allowed in every file system. */
export function fileName(look, extension, now = new Date()) {
  const two = (value) => String(value).padStart(2, "0");
  const day = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join("-");
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join(".");
  const style = look.replace(/[^a-z0-9-]+/gi, " ").trim().slice(0, 60);
  return `alla prima ${day} ${time} ${style}.${extension}`;
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser may still be reading it
}

export class Recorder {
  #recorder = null;
  #tick = 0;

  /** `saved(name)` after a file was handed to the browser, `changed(on)` when recording begins and ends. */
  constructor({ button, clock, saved, changed }) {
    Object.assign(this, { button, clock, saved, changed });
  }

  get on() {
    return Boolean(this.#recorder);
  }

  /** Throws an Error for a stream that cannot be recorded. */
  start(stream, look) {
    const type = TYPES.find((candidate) => MediaRecorder.isTypeSupported(candidate));
    if (!type) throw new Error("This browser cannot record");
    // a silent track that never gets a sample would hold the file's beginning back
    const tracks = stream.getTracks().filter((track) => track.readyState === "live" && (track.kind === "video" || !track.muted));
    const recorder = new MediaRecorder(new MediaStream(tracks), { mimeType: type, videoBitsPerSecond: BITRATE });
    const name = fileName(look, type.startsWith("video/mp4") ? "mp4" : "webm");
    const parts = [];
    recorder.ondataavailable = ({ data }) => data.size && parts.push(data);
    recorder.onstop = () => {
      clearInterval(this.#tick);
      this.#recorder = null;
      this.#show(false);
      if (!parts.length) return;
      save(new Blob(parts, { type }), name);
      this.saved(name);
    };
    recorder.onerror = () => recorder.state !== "inactive" && recorder.stop();
    recorder.start(1000);
    this.#recorder = recorder;
    const began = performance.now();
    const tell = () => {
      const seconds = Math.floor((performance.now() - began) / 1000);
      this.clock.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    };
    tell();
    this.#tick = setInterval(tell, 500);
    this.#show(true);
  }

  /** Ends it and saves what there is. */
  stop() {
    if (this.#recorder && this.#recorder.state !== "inactive") this.#recorder.stop();
  }

  #show(on) {
    this.button.setAttribute("aria-pressed", String(on));
    this.clock.hidden = !on;
    this.changed(on);
  }
}

/** Saves the shown frame as a PNG in its own size and returns the file's name, or null when there is no picture. */
export async function still(video, look) {
  if (!video.videoWidth || !video.srcObject) return null;
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const name = fileName(look, "png");
  save(blob, name);
  return name;
}
