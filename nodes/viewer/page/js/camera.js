// The live picture, what was detected in it, and how old it is.

import { $, colour, el, fitted, FONT, labelColour, labelStyle, put, span } from "./dom.js";
import { ask, isLive, onPicture, onState, onValue, robotNow, values } from "./link.js";

const OLD_MS = 1000, BOXES_MS = 600;
let head = null, copy = null, arrivals = [], dropped = 0;

function show(news, picture) {
  head = news;
  copy ??= document.createElement("canvas");
  copy.width = picture.width;
  copy.height = picture.height;
  copy.getContext("2d").drawImage(picture, 0, 0);
  arrivals.push(performance.now());
  draw();
}

function draw() {
  const canvas = $("picture");
  const [pen, width, height] = fitted(canvas);
  const scale = Math.min(width / head.width, height / head.height);
  const w = head.width * scale, h = head.height * scale, x = (width - w) / 2, y = (height - h) / 2;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(copy, x, y, w, h);
  const lag = head.boxes_stamp === null ? Infinity : Math.abs(head.stamp - head.boxes_stamp);
  if (lag < BOXES_MS) {
    pen.globalAlpha = lag > 0 ? 0.55 : 1;
    for (const box of head.boxes.toSorted((a, b) => a[1] - b[1])) drawBox(pen, box, [x, y, w, h]);
    pen.globalAlpha = 1;
  }
  canvas.dataset.seq = head.seq;
  canvas.dataset.boxes = lag < BOXES_MS ? head.boxes.length : 0;
  $("boxes").replaceChildren(...(lag < BOXES_MS ? head.boxes : []).map(([label, confidence]) =>
    el("li", { style: { "--c": labelStyle(label) } }, el("i"), `${label} ${Math.round(confidence * 100)} %`)));
  put($("camera-source"), `${head.source} · ${head.width}×${head.height}`);
}

function drawBox(pen, [label, confidence, bx, by, bw, bh], [x, y, w, h]) {
  const left = x + bx * w, top = y + by * h, ink = labelColour(label);
  pen.strokeStyle = ink;
  pen.lineWidth = 2;
  pen.beginPath();
  pen.roundRect(left, top, bw * w, bh * h, 4);
  pen.stroke();
  const text = `${label} ${Math.round(confidence * 100)}`;
  pen.font = `600 12px ${FONT}`;
  const wide = pen.measureText(text).width + 12;
  const labelTop = top - 21 < y ? top + 2 : top - 21;
  pen.fillStyle = ink;
  pen.beginPath();
  pen.roundRect(left - 1, labelTop, wide, 19, 4);
  pen.fill();
  pen.fillStyle = colour("bg");
  pen.textBaseline = "middle";
  pen.fillText(text, left + 5, labelTop + 10);
}

export function refresh() {
  const now = performance.now();
  arrivals = arrivals.filter((t) => now - t < 3000);
  const rate = arrivals.length / 3;
  put($("picture-rate"), `${rate.toFixed(1)} Hz${dropped ? ` · ${dropped} skipped here` : ""}`);
  if (!head) return;
  const age = robotNow() - head.stamp;
  put($("camera-age"), `${span(age)} old`);
  $("camera-age").className = `number ${age > OLD_MS ? "bad" : age > 250 ? "warn" : ""}`;
  const note = !isLive() ? `Last picture, ${span(age)} old` : age > OLD_MS ? `No new picture for ${span(age)}` : "";
  put($("picture-note"), note);
}

/** Offer the topics on which pictures come; what is chosen is shown on every page. */
function offer() {
  const choice = $("camera-choice"), now = values.camera?.topic;
  const found = (values.topics ?? []).filter((t) => t.type === "Image" && t.pubs.length).map((t) => t.topic);
  const topics = found.includes(now) ? found : [now, ...found];
  choice.hidden = !now || topics.length < 2;
  if (choice.hidden || document.activeElement === choice) return;
  if ([...choice.options].map((o) => o.value).join() !== topics.join())
    choice.replaceChildren(...topics.map((topic) => el("option", { value: topic }, topic)));
  choice.value = now;
  if (!head) put($("picture-note"), found.includes(now) ? "Waiting for a picture" : `Nobody publishes ${now}; choose another topic above`);
}

async function choose() {
  const choice = $("camera-choice");
  const answer = await ask("param", { node: values.camera.node, name: "camera", value: `/${choice.value}` });
  choice.blur();
  if (!answer.ok) put($("picture-note"), answer.text);
}

export function start() {
  onPicture(show);
  onValue("topics", offer);
  onValue("camera", offer);
  $("camera-choice").addEventListener("change", choose);
  onState((news) => { dropped = news.pictures_dropped; });
  addEventListener("resize", () => { if (head) draw(); });
}
