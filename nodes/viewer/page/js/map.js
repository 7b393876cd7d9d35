// Where wheel turns say the rover is: its trail, what its range sensors and its models see.

import { $, brief, colour, fitted, FONT, labelColour, put, segments } from "./dom.js";
import { onStream, robotNow, values } from "./link.js";

const KEEP = 3000, RANGES_MS = 1500, ACROSS_M = 8;
let trail = [], view = null, mode = "follow";

function take(items) {
  if (items === null) { trail = []; return; }
  trail.push(...items);
  if (trail.length > KEEP) trail.splice(0, trail.length - KEEP);
}

/** Return what is to be seen: the rover's surroundings, or all of its trail. */
function aimAt(pose, width, height) {
  if (mode === "follow") return { s: Math.min(width, height) / ACROSS_M, x: pose.x, y: pose.y };
  const [x0, y0, x1, y1] = box(pose);
  const fit = Math.min(width / (x1 - x0), (height - 24) / (y1 - y0));
  return { s: Math.min(fit, 120), x: (x0 + x1) / 2, y: (y0 + y1) / 2 };
}

function box(pose) {
  const around = 2.6;
  let [x0, y0, x1, y1] = [pose.x - around, pose.y - around, pose.x + around, pose.y + around];
  for (const [x, y] of trail) {
    x0 = Math.min(x0, x - 0.5); y0 = Math.min(y0, y - 0.5);
    x1 = Math.max(x1, x + 0.5); y1 = Math.max(y1, y + 0.5);
  }
  return [x0, y0, x1, y1];
}

export function refresh() {
  const pose = values.pose;
  const [pen, width, height] = fitted($("map"));
  pen.font = `11px ${FONT}`;
  const isPlace = pose && [pose.x, pose.y, pose.yaw].every((n) => n !== null);
  if (!isPlace) {
    pen.fillStyle = colour("faint");
    pen.textAlign = "center";
    pen.fillText(pose ? "The odometry tells no place" : "No odometry yet", width / 2, height / 2);
    put($("pose"), "");
    return;
  }
  const aim = aimAt(pose, width, height);
  view ??= aim;
  for (const key of ["s", "x", "y"]) view[key] += (aim[key] - view[key]) * 0.25;
  // x ahead is up the screen's right, y is left: the usual map, x to the right and y up.
  const at = (x, y) => [width / 2 + (x - view.x) * view.s, height / 2 - (y - view.y) * view.s];
  gridLines(pen, at, width, height);
  drawTrail(pen, at);
  if (values.ranges && robotNow() - values.ranges.t < RANGES_MS) drawRanges(pen, at, pose);
  drawGoal(pen, at);
  drawPercepts(pen, at, pose);
  drawRover(pen, at(pose.x, pose.y), pose.yaw);
  scaleBar(pen, height);
  put($("pose"), `${pose.x.toFixed(1)}, ${pose.y.toFixed(1)} m · ${brief(pose.v)} m/s`);
}

function gridLines(pen, at, width, height) {
  const step = view.s > 60 ? 0.5 : view.s > 22 ? 1 : 5;
  pen.fillStyle = colour("grid");
  for (let x = Math.floor((view.x - width / 2 / view.s) / step) * step; at(x, 0)[0] < width; x += step) pen.fillRect(Math.round(at(x, 0)[0]), 0, 1, height);
  for (let y = Math.floor((view.y - height / 2 / view.s) / step) * step; at(0, y)[1] > 0; y += step) pen.fillRect(0, Math.round(at(0, y)[1]), width, 1);
}

function drawTrail(pen, at) {
  pen.lineWidth = 2;
  pen.lineJoin = pen.lineCap = "round";
  const pieces = 12;
  for (let piece = 0; piece < pieces; piece++) {
    const from = Math.floor((trail.length * piece) / pieces), to = Math.floor((trail.length * (piece + 1)) / pieces);
    pen.globalAlpha = 0.18 + (0.72 * (piece + 1)) / pieces;
    pen.strokeStyle = colour("accent");
    pen.beginPath();
    for (let i = Math.max(0, from - 1); i < to; i++) pen.lineTo(...at(...trail[i]));
    pen.stroke();
  }
  pen.globalAlpha = 1;
}

function drawRanges(pen, at, pose) {
  const { bearings, distances, max } = values.ranges;
  const hits = bearings.map((b, i) => [pose.yaw + b, distances[i]]).filter(([, d]) => d !== null);
  const place = (a, d) => at(pose.x + d * Math.cos(a), pose.y + d * Math.sin(a));
  pen.fillStyle = `${colour("accent")}1a`;
  pen.beginPath();
  pen.moveTo(...at(pose.x, pose.y));
  for (const [a, d] of [...hits].sort((p, q) => p[0] - q[0])) pen.lineTo(...place(a, d));
  pen.fill();
  pen.fillStyle = colour("warn");
  for (const [a, d] of hits) {
    if (d >= max * 0.99) continue;
    const [x, y] = place(a, d);
    pen.fillRect(x - 1.5, y - 1.5, 3, 3);
  }
}

function drawGoal(pen, at) {
  const mission = values.mission;
  if (!mission?.goal) return;
  const [x, y] = at(...mission.goal_at);
  pen.strokeStyle = colour("ok");
  pen.lineWidth = 1.5;
  pen.beginPath();
  pen.arc(x, y, 6, 0, 7);
  pen.moveTo(x - 9, y); pen.lineTo(x + 9, y); pen.moveTo(x, y - 9); pen.lineTo(x, y + 9);
  pen.stroke();
  pen.textAlign = "left";
  pen.fillStyle = colour("ok");
  pen.fillText(mission.goal, x + 11, y - 7);
}

function drawPercepts(pen, at, pose) {
  pen.textAlign = "left";
  const taken = [];
  for (const p of values.percepts ?? []) {
    if (p.bearing === null || p.kind !== "object") continue;
    const d = p.distance ?? 1.5, a = pose.yaw + p.bearing;
    const [x, y] = at(pose.x + d * Math.cos(a), pose.y + d * Math.sin(a));
    pen.globalAlpha = p.distance === null ? 0.5 : 1;
    pen.fillStyle = labelColour(p.label);
    pen.beginPath();
    pen.arc(x, y, 5, 0, 7);
    pen.fill();
    if (taken.every(([tx, ty]) => Math.abs(tx - x) > 70 || Math.abs(ty - y) > 12)) {
      taken.push([x, y]);
      const text = `${p.label}${p.distance === null ? "" : ` ${p.distance.toFixed(1)} m`}`, wide = pen.measureText(text).width;
      pen.fillText(text, Math.max(4, x + 9 + wide > pen.canvas.clientWidth ? x - 9 - wide : x + 9), y + 4);
    }
    pen.globalAlpha = 1;
  }
}

function drawRover(pen, [x, y], yaw) {
  pen.save();
  pen.translate(x, y);
  pen.rotate(-yaw);
  pen.fillStyle = colour("text");
  pen.beginPath();
  pen.moveTo(11, 0); pen.lineTo(-7, 7); pen.lineTo(-3.5, 0); pen.lineTo(-7, -7);
  pen.closePath();
  pen.fill();
  pen.restore();
}

function scaleBar(pen, height) {
  const metres = [0.5, 1, 2, 5, 10, 20].find((m) => m * view.s > 44) ?? 50;
  pen.fillStyle = colour("soft");
  pen.fillRect(14, height - 14, metres * view.s, 2);
  pen.textAlign = "left";
  pen.textBaseline = "alphabetic";
  pen.fillText(`${metres} m`, 14, height - 20);
}

export function start() {
  segments($("map-mode"), [["follow", "Near"], ["all", "All"]], mode, (value) => { mode = value; refresh(); });
  onStream("trail", take);
}
