// What runs, and why: one line, and the reasons below it.

const line = document.getElementById("backend");
const why = document.getElementById("why");
const reasons = document.getElementById("reasons");
let said = "";

/** "openvino 2026.1, CPU, int8 · 640x480 · every 2nd frame painted, the others carried". */
function summary({ backend, network, size, cadence }) {
  const parts = [backend ?? "Nothing is painted yet"];
  if (network && !backend?.includes(network)) parts.push(network);
  if (size) parts.push(size.join("×"));
  if (cadence > 1) parts.push(`one frame in ${cadence} painted, the others carried along`);
  else if (typeof cadence === "string") parts.push(cadence);
  return parts.join(" · ");
}

export function showStatus(status) {
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
