// Runs in the studio's page: notes when the camera captured each frame and when its painting was shown, and hears clicks.
// What it saw is judged elsewhere (benchmarks/glass.py); here are only block means, colours and times.

(() => {
  const [COLUMNS, ACROSS, DOWN] = arguments;
  const GRID = { columns: 8, rows: 6 }; // of colours, below the clock
  const QUIET = 0.3; // seconds of silence before a click
  const LOUD = 0.05; // of full scale
  const probe = { camera: [], painted: [], clicks: { local: [], painted: [] }, offset: null };
  window.probe = probe;
  const painted = document.getElementById("painted");
  const local = document.getElementById("before").srcObject;

  function mean(plane, stride, left, top, right, bottom, step) {
    let sum = 0, count = 0;
    for (let y = Math.round(top); y < bottom; y += step) {
      for (let x = Math.round(left); x < right; x += step, count++) sum += plane[y * stride + x];
    }
    return sum / count;
  }

  /** Block means [2 * COLUMNS] and colours [3 * columns * rows] of a frame, which is closed. */
  async function look(frame) {
    const { codedWidth: width, codedHeight: height, format } = frame;
    if (format !== "I420") throw new Error(`frames are ${format}`);
    const bytes = new Uint8Array(frame.allocationSize());
    const planes = (await frame.copyTo(bytes)).map(({ offset, stride }) => [bytes.subarray(offset), stride]);
    frame.close();
    const levels = [], colours = [];
    const w = width * ACROSS, h = height * DOWN;
    for (let row = 0; row < 2; row++) {
      for (let column = 0; column < COLUMNS; column++) {
        const [x, y] = [column * w, row * h];
        levels.push(mean(...planes[0], x + w / 4, y + h / 4, x + (w * 3) / 4, y + (h * 3) / 4, 2));
      }
    }
    planes.forEach((plane, index) => {
      const scale = index ? 0.5 : 1;
      const top = 2 * h * scale, cell = [(width * scale) / GRID.columns, (height * scale - top) / GRID.rows];
      for (let row = 0; row < GRID.rows; row++) {
        for (let column = 0; column < GRID.columns; column++) {
          const [x, y] = [column * cell[0], top + row * cell[1]];
          colours.push(mean(...plane, x, y, x + cell[0], y + cell[1], index ? 2 : 4));
        }
      }
    });
    return { levels, colours };
  }

  /** Every frame of the camera, with its own time stamp, which is that of its capture. */
  async function watchCamera() {
    const track = local.getVideoTracks()[0].clone();
    const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 30 }).readable.getReader();
    for (;;) {
      const { value: frame, done } = await reader.read();
      if (done) return;
      const stamp = frame.timestamp / 1000;
      probe.camera.push({ stamp, ...(await look(frame)) });
    }
  }

  /** Where the zero of the camera's time stamps is on the page's clock: a video element is told both for the same frames. */
  function findOffset() {
    const video = Object.assign(document.createElement("video"), { muted: true, srcObject: local });
    const pairs = [];
    const told = async (now, { captureTime }) => {
      const { levels } = await look(new VideoFrame(video));
      pairs.push({ captureTime, levels });
      if (pairs.length < 30) video.requestVideoFrameCallback(told);
      else {
        video.srcObject = null;
        probe.offset = pairs;
      }
    };
    video.requestVideoFrameCallback(told);
    video.play();
  }

  function watchPainted() {
    const told = async (now, { presentationTime, expectedDisplayTime, mediaTime, presentedFrames }) => {
      painted.requestVideoFrameCallback(told);
      const frame = new VideoFrame(painted);
      const same = Math.abs(frame.timestamp / 1e6 - mediaTime) < 1e-3;
      probe.painted.push({ presentationTime, expectedDisplayTime, presentedFrames, same, ...(await look(frame)) });
    };
    painted.requestVideoFrameCallback(told);
  }

  /** Instants of clicks in the microphone and in what comes back, on one clock of samples, in milliseconds. */
  function listen() {
    const context = new AudioContext({ sampleRate: 48000 });
    const merger = context.createChannelMerger(2);
    const ear = context.createScriptProcessor(1024, 2, 1);
    [local, painted.srcObject].forEach((stream, index) => {
      const source = context.createMediaStreamSource(new MediaStream(stream.getAudioTracks()));
      const mono = new GainNode(context, { channelCount: 1, channelCountMode: "explicit" });
      source.connect(mono).connect(merger, 0, index);
    });
    const last = [-1, -1];
    const lists = [probe.clicks.local, probe.clicks.painted];
    ear.onaudioprocess = ({ inputBuffer, playbackTime }) => {
      for (let channel = 0; channel < 2; channel++) {
        const samples = inputBuffer.getChannelData(channel);
        for (let i = 0; i < samples.length; i++) {
          if (Math.abs(samples[i]) < LOUD) continue;
          const instant = playbackTime + i / context.sampleRate;
          if (instant - last[channel] > QUIET) lists[channel].push(instant * 1000);
          last[channel] = instant;
        }
      }
    };
    merger.connect(ear).connect(context.destination);
    probe.context = context; // kept, or it is collected
    probe.ear = ear;
  }

  // when the mouse was pressed and let go last
  document.addEventListener("click", (event) => (probe.clicked = event.timeStamp), true);

  /** Sends `steps` ([method, path, JSON or base64 picture] each) one after the other; when it began, and the last answer. */
  probe.ask = async (steps) => {
    const began = performance.now();
    let answer = null;
    for (const [method, path, body, type] of steps) {
      const bytes = type ? Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0)) : JSON.stringify(body);
      const response = await fetch(path, { method, body: bytes, headers: { "Content-Type": type ?? "application/json" } });
      answer = { status: response.status, took: performance.now() - began, body: await response.json() };
    }
    return { began, ...answer };
  };

  findOffset();
  watchCamera();
  watchPainted();
  if (local.getAudioTracks().length) listen();
})();
