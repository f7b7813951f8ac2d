// The last minute of what the server measures, as quiet little curves.

const SAMPLES = 120; // two a second

const PLOTS = [
  { name: "fps", label: "fps", unit: "frames a second", read: (status) => status.fps, format: (value) => value.toFixed(1) },
  {
    name: "latency",
    label: "ms",
    unit: "milliseconds of latency",
    read: (status) => status.latency_ms?.p50,
    format: (value) => value.toFixed(0),
  },
  { name: "dropped", label: "dropped", unit: "frames dropped", read: (status) => status.dropped, format: String, steps: true },
];

export class Plots {
  constructor(root) {
    this.plots = PLOTS.map((plot) => {
      const box = document.createElement("div");
      box.className = "plot";
      const text = document.createElement("p");
      const value = document.createElement("b");
      value.textContent = "–";
      text.append(value, plot.label);
      const canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      box.append(text, canvas);
      root.append(box);
      return { ...plot, box, value, canvas, samples: [], last: null };
    });
    this.colour = getComputedStyle(document.documentElement).getPropertyValue("--accent");
  }

  /** One status message. What was not measured leaves a gap. */
  add(status) {
    for (const plot of this.plots) {
      const read = plot.read(status);
      const known = Number.isFinite(read);
      // dropped frames are counted for good; the curve shows how many fell since the last message
      plot.samples.push(!known ? null : plot.steps ? Math.max(0, read - (plot.last ?? read)) : read);
      plot.last = known ? read : plot.last;
      if (plot.samples.length > SAMPLES) plot.samples.shift();
      plot.value.textContent = known ? plot.format(read) : "–";
      plot.canvas.setAttribute("aria-label", known ? `${plot.format(read)} ${plot.unit}` : `${plot.unit}: not measured`);
      this.#draw(plot);
    }
    const { latency_ms: latency } = status;
    if (latency) this.plots[1].box.title = `Median ${latency.p50?.toFixed(0)} ms, 99 of 100 within ${latency.p99?.toFixed(0)} ms`;
  }

  #draw({ canvas, samples }) {
    const { clientWidth: width, clientHeight: height } = canvas;
    const ratio = devicePixelRatio;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const top = Math.max(1, ...samples.filter((sample) => sample !== null)) * 1.15;
    const x = (index) => width - (samples.length - 1 - index) * (width / (SAMPLES - 1));
    const y = (sample) => height - 1.5 - (sample / top) * (height - 3);
    pen.beginPath();
    samples.forEach((sample, index) => {
      if (sample === null) return;
      if (index === 0 || samples[index - 1] === null) pen.moveTo(x(index), y(sample));
      else pen.lineTo(x(index), y(sample));
    });
    pen.strokeStyle = this.colour;
    pen.lineCap = "round";
    pen.lineWidth = 1.25;
    pen.lineJoin = "round";
    pen.stroke();
  }
}
