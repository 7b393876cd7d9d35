// The newest message of a topic, field by field, while its row is open.

import { el, put, span } from "./dom.js";
import { ask, isLive, onValue, robotNow, values } from "./link.js";

const EVERY_MS = 250, MOST_ITEMS = 40;

/** Make the place for a topic's messages; it asks for them as long as `isShown` says so. */
export function messageView(topic, isShown) {
  const head = el("small", {}, "asking…"), fields = el("div", { class: "fields" });
  const box = el("div", { class: "message" }, head, fields);
  let isAsking = false, isPressed = false, known = "";

  async function look() {
    if (!box.isConnected) return clearInterval(timer);  // the topic is gone, and its row
    if (isAsking || !isShown() || document.visibilityState !== "visible" || !isLive()) return;
    isAsking = true;
    const answer = await ask("newest", { topic });
    isAsking = false;
    head.classList.toggle("bad", !answer.ok);
    if (!answer.ok || !answer.came) {
      fields.replaceChildren();
      known = "";
      return put(head, answer.ok ? "no message yet; they are shown as they come" : answer.text);
    }
    put(head, `${answer.type} · captured ${span(robotNow() - answer.t)} ago`);
    const text = JSON.stringify(answer.fields);
    const isSelected = box.contains(getSelection()?.anchorNode) && !getSelection().isCollapsed;
    if (text === known || isPressed || isSelected) return;  // nothing moves under a hand
    known = text;
    const focused = document.activeElement?.dataset.plot;
    fields.replaceChildren(...rows(answer.fields, ""));
    if (focused) fields.querySelector(`[data-plot="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    markPlotted();
  }

  /** A click on a number plots it, a second one ends that. */
  async function onClick(event) {
    const field = event.target.closest("button")?.dataset.plot;
    if (!field) return;
    const answer = await ask("plot", { topic, field, on: !values.plots?.includes(`${topic}:${field}`) });
    if (!answer.ok) put(head, answer.text);
  }

  function markPlotted() {
    for (const button of fields.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(Boolean(values.plots?.includes(`${topic}:${button.dataset.plot}`))));
    }
  }

  fields.addEventListener("pointerdown", () => { isPressed = true; });
  fields.addEventListener("click", onClick);
  addEventListener("pointerup", () => { setTimeout(() => { isPressed = false; }); });
  onValue("plots", markPlotted);
  const timer = setInterval(look, EVERY_MS);
  return box;
}

function rows(value, path) {
  return Object.entries(value).flatMap(([name, item]) => row(name, item, path ? `${path}.${name}` : name));
}

const short = (value) => (typeof value === "number" && !Number.isInteger(value) ? +value.toPrecision(7) : value);

function row(name, item, path) {
  const depth = path.split(".").length - 1;
  const line = (...rest) => el("div", { style: { "--depth": depth }, "data-field": path }, el("span", {}, name), ...rest);
  if (typeof item === "number" && !values.replay) {
    return [line(el("button", { type: "button", "data-plot": path, title: `${item}: plot it among the readings` }, String(short(item))))];
  }
  if (item === null || typeof item !== "object") return [line(el("b", { "data-kind": typeof item }, String(item)))];
  const items = Object.keys(item).length;
  if (Array.isArray(item) && item.every((one) => typeof one !== "object" || one === null)) {
    const shown = item.slice(0, MOST_ITEMS).map(short);
    return [line(el("b", { "data-kind": "list" }, `[${shown.join(", ")}${items > MOST_ITEMS ? ", …" : ""}]`))];
  }
  if (!items) return [line(el("b", { "data-kind": "list" }, Array.isArray(item) ? "[]" : "{}"))];
  const kept = Array.isArray(item) ? item.slice(0, MOST_ITEMS) : item;
  const more = Array.isArray(item) && items > MOST_ITEMS ? [el("div", { style: { "--depth": depth + 1 } }, `and ${items - MOST_ITEMS} more`)] : [];
  return [line(), ...rows(kept, path), ...more];
}
