// Readings over time: one lane per unit, series in it by colour, one ruler across all lanes.

import { $, brief, clock, colour, el, fitted, FONT, segments, seriesColour, seriesStyle } from "./dom.js";
import { onStream, onValue, robotNow, values } from "./link.js";

const KEEP_MS = 610_000, LEFT = 46, RIGHT = 12, GAP_MS = 4000, BEFORE_MS = 120_000;
const UNITS = { Cel: "°C", 1: "", deg: "°" };
const points = new Map();   // name -> [[t, value], …]
const hidden = new Set();
let windowMs = 60_000, pausedAt = 0, hoverX = null, lanes = new Map();

function take(items) {
  if (items === null) return points.clear();
  for (const [name, t, value] of items) {
    if (!points.has(name)) points.set(name, []);
    points.get(name).push([t, value]);
  }
  const oldest = robotNow() - KEEP_MS;
  for (const series of points.values()) {
    let n = 0;
    while (n < series.length && series[n][0] < oldest) n++;
    if (n > 50 && !pausedAt) series.splice(0, n);
  }
}

const unitOf = (name) => values.series?.[name]?.unit ?? "";
const unitText = (unit) => UNITS[unit] ?? unit;

function legend() {
  const names = Object.keys(values.series ?? {}).sort();
  $("legend").replaceChildren(...names.map((name) => {
    const state = values.series[name];
    return el("button", {
      type: "button", "aria-pressed": String(!hidden.has(name)), "data-series": name,
      title: state.valid ? state.device || name : `not valid: ${state.text}`,
      style: { "--c": seriesStyle(name) },
      onclick: () => { hidden.has(name) ? hidden.delete(name) : hidden.add(name); legend(); draw(); },
    }, el("i"), name, el("b", { class: state.valid ? "" : "bad" }));
  }));
}

function layOut() {
  const units = [...new Set(Object.keys(values.series ?? {}).filter((n) => !hidden.has(n)).map(unitOf))].sort();
  if (units.join("\n") === [...lanes.keys()].join("\n") && lanes.size) return;
  lanes = new Map(units.map((unit) => [unit, el("canvas", { "data-unit": unit })]));
  $("lanes").replaceChildren(...(lanes.size ? lanes.values() : [el("p", {}, "No readings yet")]));
}

export function draw() {
  layOut();
  const end = pausedAt || robotNow(), start = end - windowMs;
  const ruler = hoverX;
  let index = 0;
  for (const [unit, canvas] of lanes) {
    const names = [...points.keys()].filter((n) => n in (values.series ?? {}) && unitOf(n) === unit && !hidden.has(n)).sort();
    drawLane(canvas, { unit, names, start, end, ruler, isLast: ++index === lanes.size });
  }
  for (const button of $("legend").children) {
    const name = button.dataset.series;
    const at = ruler === null ? end : start + ruler * (end - start);
    const near = nearest(points.get(name) ?? [], at);
    const text = near === null ? "–" : `${brief(near[1])}${unitText(unitOf(name)) ? " " + unitText(unitOf(name)) : ""}`;
    if (button.lastChild.textContent !== text) button.lastChild.textContent = text;
  }
}

function drawLane(canvas, { unit, names, start, end, ruler, isLast }) {
  const [pen, width, height] = fitted(canvas);
  const bottom = height - (isLast ? 20 : 8), top = 8;
  const shown = names.map((name) => [name, points.get(name).filter(([t]) => t >= start - BEFORE_MS && t <= end)]);
  const [low, high] = extent(shown.flatMap(([, series]) => series.filter(([t]) => t >= start - GAP_MS).map((p) => p[1])));
  const x = (t) => LEFT + ((t - start) / (end - start)) * (width - LEFT - RIGHT);
  const y = (v) => bottom - ((v - low) / (high - low)) * (bottom - top);
  pen.font = `11px ${FONT}`;
  const lowest = grid(pen, { low, high, y, width, height: bottom - top });
  pen.save();
  pen.beginPath();
  pen.rect(LEFT, 0, width - LEFT - RIGHT + 4, height);
  pen.clip();
  for (const [name, series] of shown) line(pen, series, x, y, seriesColour(name));
  pen.restore();
  nameUnit(pen, unitText(unit) || (names.length === 1 ? names[0] : ""), lowest === null ? null : y(lowest));
  if (isLast) times(pen, { start, end, x, y: height - 6 });
  if (ruler !== null) drawRuler(pen, { at: start + ruler * (end - start), shown, x, y, top, bottom });
}

function extent(numbers) {
  const known = numbers.filter((v) => v !== null);
  if (!known.length) return [0, 1];
  const low = Math.min(...known), high = Math.max(...known);
  const pad = Math.max((high - low) * 0.12, Math.abs(high) * 0.01, 0.05);
  return [low - pad, high + pad];
}

/** Draw the lines and numbers of the scale; return the lowest number, null when there is none. */
function grid(pen, { low, high, y, width, height }) {
  let step = niceStep((high - low) / Math.max(1, Math.floor(height / 34)));
  while (Math.ceil(low / step) * step > high) step = niceStep(step * 0.4);  // no lane without numbers
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  let lowest = null;
  for (let v = Math.ceil(low / step) * step; v <= high; v += step) {
    pen.fillStyle = colour("line");
    pen.fillRect(LEFT, Math.round(y(v)), width - LEFT - RIGHT, 1);
    pen.fillStyle = colour("faint");
    const text = Math.abs(v) < step / 1e6 ? "0" : v.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
    pen.fillText(text, LEFT - 8, y(v));
    lowest = v;
  }
  return lowest;
}

/** Write a lane's unit, or its only series where there is none, over its lines, with a rim that keeps it readable. */
function nameUnit(pen, text, lowestY) {
  if (!text || lowestY === null) return;
  const at = lowestY - 8 < 6 ? lowestY + 9 : lowestY - 8;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.lineWidth = 4;
  pen.strokeStyle = colour("panel");
  pen.strokeText(text, LEFT + 4, at);
  pen.fillStyle = colour("soft");
  pen.fillText(text, LEFT + 4, at);
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].find((n) => n * power >= rough) * power;
}

function line(pen, series, x, y, stroke) {
  pen.strokeStyle = stroke;
  pen.lineWidth = 1.6;
  pen.lineJoin = pen.lineCap = "round";
  const usual = series.length > 1 ? (series.at(-1)[0] - series[0][0]) / (series.length - 1) : 0;
  const gap = Math.max(GAP_MS, usual * 4);  // a slow sensor's pace is no gap
  pen.beginPath();
  let before = null;
  for (const [t, v] of series) {
    if (v === null) { before = null; continue; }
    if (before === null || t - before > gap) pen.moveTo(x(t), y(v));
    pen.lineTo(x(t), y(v));  // a lone point becomes a dot
    before = t;
  }
  pen.stroke();
}

function times(pen, { start, end, x, y }) {
  const step = [5, 10, 15, 30, 60, 120, 300].map((s) => s * 1000).find((s) => (end - start) / s <= 6);
  pen.fillStyle = colour("faint");
  pen.textAlign = "center";
  pen.textBaseline = "alphabetic";
  for (let t = Math.ceil(start / step) * step; t <= end; t += step) {
    if (x(t) > LEFT + 22 && x(t) < x(end) - 18) pen.fillText(clock(t), x(t), y);
  }
}

function drawRuler(pen, { at, shown, x, y, top, bottom }) {
  pen.fillStyle = `${colour("text")}40`;
  pen.fillRect(Math.round(x(at)), top, 1, bottom - top);
  for (const [name, series] of shown) {
    const near = nearest(series, at);
    if (near === null || near[1] === null) continue;
    pen.fillStyle = seriesColour(name);
    pen.beginPath();
    pen.arc(x(near[0]), y(near[1]), 3.2, 0, 7);
    pen.fill();
  }
}

function nearest(series, t) {
  let best = null;
  for (let i = series.length - 1; i >= 0; i--) {
    if (best && Math.abs(series[i][0] - t) > Math.abs(best[0] - t)) break;
    best = series[i];
  }
  return best && Math.abs(best[0] - t) < 15_000 ? best : null;
}

function pause() {
  pausedAt = pausedAt ? 0 : robotNow();
  $("plot-pause").setAttribute("aria-pressed", String(Boolean(pausedAt)));
  $("plot-pause").textContent = pausedAt ? "Paused" : "Pause";
  $("lanes").dataset.paused = pausedAt || "";
  draw();
}

export function refresh() {
  if (!pausedAt || hoverX !== null) draw();
}

export function start() {
  onStream("points", take);
  onValue("series", legend);
  segments($("plot-window"), [[30_000, "30 s"], [60_000, "1 min"], [300_000, "5 min"]], windowMs,
    (value) => { windowMs = value; draw(); });
  $("plot-pause").addEventListener("click", pause);
  $("lanes").addEventListener("pointermove", (event) => {
    const box = $("lanes").getBoundingClientRect();
    const share = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
    hoverX = share >= 0 && share <= 1 ? share : null;
    draw();
  });
  $("lanes").addEventListener("pointerleave", () => { hoverX = null; draw(); });
  addEventListener("resize", draw);
}
