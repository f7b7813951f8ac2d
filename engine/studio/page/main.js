// Puts the studio's page together: the server's line, the picture, the paintings, the controls, the tools.

import { ask, Patches, withToken } from "/page/api.js";
import { Connection } from "/page/connection.js";
import { Controls } from "/page/controls.js";
import { openCamera, resize } from "/page/camera.js";
import { acceptPictures } from "/page/drop.js";
import { Gallery } from "/page/gallery.js";
import { Input } from "/page/input.js";
import { listen } from "/page/keys.js";
import { say, warn } from "/page/notices.js";
import { Plots } from "/page/plots.js";
import { Presets } from "/page/presets.js";
import { Recorder, still } from "/page/record.js";
import { Stage } from "/page/stage.js";
import { showStatus } from "/page/status.js";

const el = (id) => document.getElementById(id);
const PROMISE = "Your camera goes to this studio only, and comes back painted.";
const STEP = 0.05; // of a control, by a key
const STATES = { connecting: "Connecting", open: "Ready", live: "Live", lost: "Reconnecting" };

const connection = new Connection();
const stage = new Stage();
const gallery = new Gallery();
const plots = new Plots(el("plots"));
const controls = new Controls(el("controls"), (values) => patches.send(values));
const patches = new Patches(readControls, (error) => say(error.message));
const presets = new Presets({
  root: el("presets"),
  form: el("preset-form"),
  current: () => current,
  recall: (values) => patches.send(values),
  fail: (error) => say(error.message),
});
const input = new Input({ source: el("source"), size: el("size"), backend: el("engine") });
const recorder = new Recorder({
  button: el("tool-record"),
  clock: el("record-time"),
  saved: (name) => say(`Saved ${name}`),
  changed: () => showTools(),
});
let current = {}; // the controls as the server has them
let heard = 0; // how often they were told
let source = ""; // what the server paints: "browser", or a source of its own
let size = null; // in which it was asked to
let joined = false;
let opening = false; // whether the camera is being asked for
let ready = false; // whether the server can paint

// What the server says

function showControls({ type, ...values }) {
  heard += 1;
  current = values;
  if (patches.busy) return; // the user is ahead of the server; what it has is read at the end
  controls.show(current);
  if (current.style !== gallery.look) gallery.show(current.style);
  showLabel();
}

async function readControls() {
  const before = heard;
  const values = await ask("/api/controls").catch(() => null);
  if (values && heard === before) showControls(values); // else something newer is shown already
}

function showLabel() {
  const [title, artist] = gallery.describe(gallery.look);
  el("label-title").textContent = title;
  el("label-artist").textContent = artist;
}

function showSource(now) {
  if (now === source) return;
  source = now;
  if (!own() && (!joined || stage.local)) {
    release();
    watch();
  }
  el("empty").hidden = joined;
  showTools();
}

connection.addEventListener("status", ({ detail: status }) => {
  plots.add(status);
  showStage(status);
});

function showStage(status) {
  showStatus(status);
  gallery.becoming(status.becoming);
  el("label-coming").hidden = !status.becoming;
  warn("failing", status.failing ?? "");
  warn("camera", status.source === "browser" && joined && !stage.local && !status.camera ? "No camera is connected" : "");
  size = status.asked.size;
  ready = status.size !== null;
  showStart();
  input.show(status);
  showSource(status.source);
}
connection.addEventListener("controls", ({ detail }) => showControls(detail));
connection.addEventListener("stream", ({ detail: stream }) => {
  if (!stream) recorder.stop(); // what there is, is saved
  stage.show(stream);
  showTools();
});
let loaded = false;
let lost = false;
connection.addEventListener("state", ({ detail: { state, error } }) => {
  document.body.dataset.state = state;
  el("state-text").textContent = STATES[state];
  if (state === "live" || (state === "open" && !joined)) {
    if (lost) say("The studio is back");
    lost = false;
  }
  lost ||= state === "lost";
  const tried = error || "The studio does not answer";
  warn("connection", state === "lost" ? `${tried}. Trying again.` : lost ? "The studio is back. Connecting." : "");
  if (state !== "open" || loaded) return;
  loaded = true;
  load();
});

async function load() {
  try {
    const asked = ["schema", "styles", "controls", "stage"].map((name) => ask(`/api/${name}`));
    const [schema, styles, values, choices] = await Promise.all(asked);
    input.build(choices);
    input.restore();
    controls.build(schema.controls);
    gallery.build(styles);
    showControls(values);
    presets.load();
  } catch (error) {
    loaded = false; // again when the line is next open
    warn("failing", error.message);
  }
}

// Taking part

/** A camera that came before there is anything to paint it with would wait, and keep some of that delay. */
function showStart() {
  el("start").disabled = opening || !ready;
  el("empty-text").textContent = ready ? PROMISE : "Getting ready to paint. The very first time that takes some seconds.";
}

async function start() {
  if (!ready) return;
  opening = true;
  showStart();
  try {
    release();
    stage.local = await openCamera(input.camera, size);
    await input.look(stage.local.getVideoTracks()[0].getSettings().deviceId);
    take("camera");
  } catch (error) {
    say(error.message);
    if (joined) watch(); // the camera before it is let go already
  }
  opening = false;
  showStart();
}

function watch() {
  take("viewer");
}

function take(role) {
  joined = true;
  el("empty").hidden = true;
  connection.join(role, role === "camera" ? stage.local : null);
  showTools();
}

function release() {
  stage.local?.getTracks().forEach((track) => track.stop());
  stage.local = null;
}

function stop() {
  recorder.stop();
  joined = false;
  connection.leave();
  release();
  el("empty").hidden = false;
  showTools();
}

el("start").addEventListener("click", start);
el("watch").addEventListener("click", watch);

// What is painted

async function restage(wish) {
  try {
    showStage(await ask("/api/stage", { method: "PATCH", json: wish }));
  } catch (error) {
    input.restore();
    say(error.message);
  }
}

input.addEventListener("source", ({ detail: name }) => restage({ source: name }));
input.addEventListener("backend", ({ detail: backend }) => restage({ backend }));
input.addEventListener("size", async ({ detail: wanted }) => {
  if (stage.local && wanted) await resize(stage.local, wanted);
  restage({ size: wanted });
});
input.addEventListener("camera", async ({ detail: device }) => {
  if (!own()) await restage({ source: "browser" });
  input.camera = device;
  await start();
});

// Paintings

gallery.addEventListener("look", ({ detail: style }) => {
  showLabel();
  patches.send({ style });
});
gallery.addEventListener("add", () => el("file").click());
gallery.addEventListener("remove", async ({ detail: style }) => {
  try {
    await ask(`/api/styles/${encodeURIComponent(style.name)}`, { method: "DELETE" });
    gallery.forget(style.name);
    gallery.build(await ask("/api/styles"));
    say(`${style.title} is removed`);
  } catch (error) {
    say(error.message);
  }
});
acceptPictures({
  veil: el("veil"),
  input: el("file"),
  began: (file) => say(`Looking at ${file.name}`),
  added: async (style) => {
    gallery.forget(style.name);
    gallery.build(await ask("/api/styles"));
    gallery.choose(style.name);
    say(`Painting in ${style.title}`);
  },
  failed: (error) => say(error.message),
});
el("widen").addEventListener("click", () => {
  const wide = document.body.classList.toggle("wide");
  el("widen").setAttribute("aria-expanded", String(wide));
  el("widen").lastElementChild.textContent = wide ? "Fewer" : "All";
  gallery.reveal();
});

// Controls by key

function turn(name, value) {
  current = { ...current, [name]: value };
  controls.show(current);
  patches.send({ [name]: value });
}

function nudge(name, step) {
  if (name in current) turn(name, Math.round(Math.min(1, Math.max(0, current[name] + step)) * 100) / 100);
}

// Tools. Each is a button and a key of the same name.

const own = () => source === "browser";
const shown = () => Boolean(stage.painted.srcObject);
const TOOLS = [
  { id: "camera", key: "c", help: "Camera on and off", run: () => (stage.local ? stop() : start()), can: () => own(), on: () => stage.local },
  { id: "split", key: "b", help: "Before and after", run: () => (stage.split = !stage.split), can: shown, on: () => stage.split },
  { id: "mirror", key: "m", help: "Mirror the view", run: () => (stage.mirror = !stage.mirror), can: () => true, on: () => stage.mirror },
  { id: "sound", key: "u", help: "Sound", run: () => (stage.painted.muted = !stage.painted.muted), can: shown, on: () => !stage.painted.muted },
  { id: "still", key: "s", help: "Save a still", run: takeStill, can: shown },
  { id: "record", key: "r", help: "Record", run: record, can: shown, on: () => recorder.on },
  { id: "full", key: "f", help: "Full screen", run: () => stage.toggleFull(), can: () => document.fullscreenEnabled },
  { id: "keys", key: "?", help: "Show the keys", run: () => el("keys").showModal(), can: () => true },
];

async function takeStill() {
  const name = await still(stage.painted, gallery.look);
  if (name) say(`Saved ${name}`);
}

function record() {
  if (recorder.on) recorder.stop();
  else recorder.start(stage.painted.srcObject, gallery.look);
}

function showTools() {
  for (const { id, can, on } of TOOLS) {
    const button = el(`tool-${id}`);
    button.disabled = !can();
    if (on) button.setAttribute("aria-pressed", String(Boolean(on())));
  }
}

async function use(tool) {
  if (!tool.can()) return;
  try {
    await tool.run();
  } catch (error) {
    say(error.message);
  }
  showTools();
}

for (const tool of TOOLS) {
  const button = el(`tool-${tool.id}`);
  button.setAttribute("aria-label", tool.help);
  button.setAttribute("aria-keyshortcuts", tool.key);
  button.title = `${tool.help} (${tool.key.toUpperCase()})`;
  button.addEventListener("click", () => use(tool));
}
listen(
  [
    { keys: ["ArrowLeft", "ArrowUp", "p"], shown: "← P", help: "Painting before", run: () => gallery.step(-1), repeats: true },
    { keys: ["ArrowRight", "ArrowDown", "n"], shown: "→ N", help: "Next painting", run: () => gallery.step(1), repeats: true },
    { keys: [..."123456789"], shown: "1 – 9", help: "Painting by its place", run: (event) => gallery.at(event.key - 1) },
    { keys: ["x"], shown: "X", help: "Mix in the painting chosen next (or Shift and click)", run: () => gallery.picking(true) },
    { keys: ["-", "+", "="], shown: "− +", help: "Strength", run: ({ key }) => nudge("strength", key === "-" ? -STEP : STEP), repeats: true },
    { keys: ["[", "]"], shown: "[ ]", help: "Consistency", run: ({ key }) => nudge("consistency", key === "[" ? -STEP : STEP), repeats: true },
    { keys: ["k"], shown: "K", help: "Keep the colours", run: () => turn("keep_color", !current.keep_color) },
    { keys: [" "], shown: "Space", help: "Camera or painting", run: () => stage.toggleBefore() },
    ...TOOLS.map((tool) => ({ keys: [tool.key], shown: tool.key.toUpperCase(), help: tool.help, run: () => use(tool) })),
  ],
  el("keys"),
  el("keys-list"),
);
el("keys-close").addEventListener("click", () => el("keys").close());

el("overlay").addEventListener("click", async () => {
  const address = withToken("/overlay");
  try {
    await navigator.clipboard.writeText(address);
    say("Copied: add it to OBS as a browser source");
  } catch {
    say(address); // without https the clipboard is closed to pages
  }
});

showTools();
connection.open();
