// What runs, and why: one line, and the reasons below it.

const line = document.getElementById("backend");
const why = document.getElementById("why");
const reasons = document.getElementById("reasons");
const pace = document.getElementById("pacing");
let said = "";

/** "640 × 480 · openvino 2026.1, CPU, int8", and which network paints how often where no line of its own says so. */
function summary({ backend, network, size, cadence, pacing }) {
  const parts = [size?.join(" × "), backend ?? "Nothing is painted yet"];
  if (!pacing) parts.push(network, cadence > 1 && `${Math.round(100 / cadence)} % of the frames painted, the others carried along`);
  return parts.filter(Boolean).join(" · ");
}

export function showStatus(status) {
  pace.textContent = status.pacing;
  const list = [status.refused, ...(status.why ?? [])].filter(Boolean);
  const now = JSON.stringify([summary(status), list]);
  if (now === said) return;
  said = now;
  line.textContent = summary(status);
  why.classList.toggle("reasons", list.length > 0);
  reasons.replaceChildren(
    ...list.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }),
  );
}
