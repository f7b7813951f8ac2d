// The keyboard. One table makes the keys work and the help that lists them.

const TYPING = "input:not([type=range], [type=radio]), select, textarea, [contenteditable]";

/** `table`: [{keys: ["r"], shown: "R", help, run(event)}]. Keys with Ctrl, Alt or the system key are left to the browser. */
export function listen(table, dialog, list) {
  for (const { shown, help } of table) {
    const key = document.createElement("dt");
    for (const text of shown.split(" ")) {
      const cap = document.createElement("kbd");
      cap.textContent = text;
      key.append(cap, " ");
    }
    const what = document.createElement("dd");
    what.textContent = help;
    list.append(key, what);
  }
  addEventListener("keydown", (event) => {
    const typed = event.getModifierState("AltGraph"); // which many keyboards need for a bracket
    if (((event.ctrlKey || event.altKey) && !typed) || event.metaKey || event.defaultPrevented || dialog.open) return;
    const target = event.target instanceof Element ? event.target : document.body;
    if (target.matches(TYPING)) return;
    if (target.matches("input") && (event.key.startsWith("Arrow") || event.key === " ")) return;
    // space and enter press the button that has the focus; only on a painting is space free
    if (event.key === " " && target.matches("button:not(.paint), summary")) return;
    const entry = table.find(({ keys }) => keys.includes(event.key.length === 1 ? event.key.toLowerCase() : event.key));
    if (!entry) return;
    event.preventDefault();
    if (!event.repeat || entry.repeats) entry.run(event);
  });
}
