// How loud it is, over the last half minute, and what was heard.

import { $, clock, colour, el, fitted, FONT, labelColour, labelStyle, put } from "./dom.js";
import { onStream, robotNow } from "./link.js";

const FLOOR = -72, WINDOW_MS = 30_000;
let levels = [], events = [];

function takeLevels(items) {
  if (items === null) { levels = []; return; }
  levels.push(...items);
  levels.splice(0, Math.max(0, levels.length - 320));
}

function takeEvents(items) {
  if (items === null) events = [];
  else events = [...items.reverse(), ...events].slice(0, 60);
  $("sounds").replaceChildren(...(events.length ? events.map(row) : [el("li", { class: "none" }, "Nothing heard yet")]));
}

function row(event) {
  return el("li", {}, el("time", {}, clock(event.t)), el("b", { style: { color: labelStyle(event.label) } }, event.label),
    el("span", {}, `${Math.round(event.confidence * 100)} %`), el("span", {}, `${event.level?.toFixed(0) ?? "–"} dBFS`));
}

export function refresh() {
  const [pen, width, height] = fitted($("levels"));
  const now = robotNow(), last = levels.at(-1);
  const isFresh = last && now - last[0] < 1500;
  const y = (db) => height - 4 - (Math.max(0, db - FLOOR) / -FLOOR) * (height - 10);
  const meter = 14, right = width - meter - 24;
  pen.font = `10px ${FONT}`;
  for (const db of [-60, -40, -20, 0]) {
    pen.fillStyle = colour("line");
    pen.fillRect(36, Math.round(y(db)), right - 36, 1);
    pen.fillStyle = colour("faint");
    pen.textAlign = "right";
    pen.fillText(String(db), 30, y(db) + 3);
  }
  const x = (t) => right - ((now - t) / WINDOW_MS) * (right - 36);
  for (const [t, rms, peak] of levels) {
    if (x(t) < 36) continue;
    pen.fillStyle = `${colour("accent")}40`;
    pen.fillRect(x(t), y(peak), 1.6, height - 4 - y(peak));
    pen.fillStyle = colour("accent");
    pen.fillRect(x(t), y(rms), 1.6, height - 4 - y(rms));
  }
  for (const event of events) {
    if (x(event.t) < 36) continue;
    pen.fillStyle = labelColour(event.label);
    pen.fillRect(x(event.t), 2, 2, height - 6);
  }
  pen.fillStyle = colour("raised");
  pen.fillRect(right + 12, y(0), meter, height - 4 - y(0));
  if (isFresh) {
    pen.fillStyle = last[2] > -3 ? colour("bad") : last[1] > -14 ? colour("warn") : colour("ok");
    pen.fillRect(right + 12, y(last[1]), meter, height - 4 - y(last[1]));
    pen.fillStyle = colour("text");
    pen.fillRect(right + 12, y(Math.max(...levels.slice(-15).map((l) => l[2]))), meter, 2);
  }
  put($("level"), isFresh ? `${last[1].toFixed(0)} dBFS · peak ${last[2].toFixed(0)}` : last ? "silent line" : "no microphone yet");
}

export function start() {
  onStream("levels", takeLevels);
  onStream("sounds", takeEvents);
  takeEvents(null);
}
