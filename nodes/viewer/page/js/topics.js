// Topics: type, rate with its last two minutes, bandwidth, age, drops; ends of each on demand.

import { $, bytes, brief, colour, el, fitted, number, put, reasons, segments, total } from "./dom.js";
import { showGraph } from "./graph.js";
import { onStream, onValue, values } from "./link.js";
import { messageView } from "./messages.js";

const KEEP = 120, OLD_MS = 150;
const rows = new Map(), open = new Set();
let seconds = [], look = "table", chooseLook = null;

function takeRates(items) {
  if (items === null) { seconds = []; return; }
  seconds.push(...items);
  seconds.splice(0, Math.max(0, seconds.length - KEEP));
  for (const [topic, row] of rows) if (!row.tr.hidden) spark(row.canvas, topic);
}

function spark(canvas, topic) {
  const [pen, width, height] = fitted(canvas);
  const rates = seconds.map((s) => s.hz[topic]);
  const top = Math.max(0.001, ...rates.map((r) => r ?? 0)) * 1.15;
  const x = (i) => width - (rates.length - 1 - i) * (width / (KEEP - 1)), y = (r) => height - 2 - (r / top) * (height - 4);
  pen.fillStyle = `${colour("bad")}55`;
  rates.forEach((r, i) => { if (r === null) pen.fillRect(x(i) - 1, 0, width / KEEP + 1.2, height); });
  pen.fillStyle = `${colour("accent")}1f`;
  rates.forEach((r, i) => { if (r) pen.fillRect(x(i - 1), y(r), width / (KEEP - 1) + 0.3, height); });
  pen.strokeStyle = colour("accent");
  pen.lineWidth = 1.3;
  pen.beginPath();
  rates.forEach((r, i) => {
    if (r === null || r === undefined) return;
    const before = rates[i - 1];
    if (before === null || before === undefined) pen.moveTo(x(i), y(r));
    else pen.lineTo(x(i), y(r));
  });
  pen.stroke();
}

function makeRow(topic) {
  const canvas = el("canvas"), rate = el("span");
  const cells = {
    type: el("td", { class: "type wide" }), band: el("td", { class: "n wide" }),
    age: el("td", { class: "n" }), drops: el("td", { class: "n" }),
  };
  const cut = topic.lastIndexOf("/") + 1;
  const tr = el("tr", {
    class: "row", "data-topic": topic, tabindex: 0, "aria-expanded": "false",
    onclick: () => toggle(topic), onkeydown: (e) => { if (e.key === "Enter") toggle(topic); },
  }, el("td", { title: topic }, el("span", { class: "dim" }, topic.slice(0, cut)), topic.slice(cut)), cells.type,
    el("td", { class: "rate" }, el("div", {}, canvas, rate)), cells.band, cells.age, cells.drops);
  const ends = el("tr", { class: "ends", hidden: true }, el("td", { colspan: 6 }, el("ul")));
  const row = { tr, ends, canvas, rate, ...cells };
  rows.set(topic, row);
  return row;
}

function toggle(topic) {
  open.has(topic) ? open.delete(topic) : open.add(topic);
  show(values.topics);
}

/** Show a topic's newest message below its ends, from the first time its row is opened. */
function addMessages(topic, row) {
  if (row.message) return;
  row.message = messageView(topic, () => row.tr.isConnected && !row.ends.hidden);
  row.ends.firstChild.append(row.message);
}

function fromGraph(topic) {
  open.add(topic);
  chooseLook("table");
  rows.get(topic)?.tr.scrollIntoView({ block: "start" });
}

function show(topics) {
  const wanted = $("topic-filter").value.trim().toLowerCase();
  if (look === "graph") showGraph(wanted, fromGraph);
  const known = new Set(topics.map((t) => t.topic));
  for (const [topic, row] of rows) if (!known.has(topic)) { row.tr.remove(); row.ends.remove(); rows.delete(topic); }
  let before = null;
  for (const topic of topics) {
    const isNew = !rows.has(topic.topic), row = rows.get(topic.topic) ?? makeRow(topic.topic);
    if (isNew) {
      before ? before.after(row.tr, row.ends) : $("topics").prepend(row.tr, row.ends);
      spark(row.canvas, topic.topic);
    }
    before = row.ends;
    fill(row, topic);
    row.tr.hidden = !`${topic.topic} ${topic.type}`.toLowerCase().includes(wanted);
    row.ends.hidden = row.tr.hidden || !open.has(topic.topic);
    row.tr.setAttribute("aria-expanded", String(!row.ends.hidden));
    if (row.ends.hidden) continue;
    addMessages(topic.topic, row);
    row.ends.firstChild.firstChild.replaceChildren(...topic.pubs.map((e) => end("pub", e)), ...topic.subs.map((e) => end("sub", e)));
  }
  const flow = topics.reduce((sum, t) => sum + (t.bps ?? 0), 0);
  put($("topics-count"), `${topics.length} · ${bytes(flow)}`);
}

function fill(row, topic) {
  put(row.type, topic.type);
  put(row.rate, topic.away ? "away" : `${brief(topic.rate)} Hz`);
  put(row.band, topic.away ? "–" : bytes(topic.bps));
  const isAged = topic.subs.length && topic.rate;
  put(row.age, isAged ? `${number(topic.p50)} · ${number(topic.p99)} ms` : "–");
  row.age.classList.toggle("warn", Boolean(isAged) && topic.p99 > OLD_MS);
  const lost = total(topic.drops);
  put(row.drops, String(lost));
  row.drops.title = lost ? reasons(topic.drops) : "nothing dropped";
  row.drops.style.color = lost ? "" : colour("faint");
  row.tr.classList.toggle("away", topic.away);
}

function end(role, e) {
  const parts = [`${brief(e.rate)} Hz`, `${e.count} messages`];
  if (role === "sub") parts.push(`${number(e.p50)} · ${number(e.p99)} ms`);
  if (total(e.drops)) parts.push(`dropped: ${reasons(e.drops)}`);
  return el("li", {}, el("em", {}, role), el("b", {}, e.node), el("span", {}, e.away ? "away" : parts.join(" · ")));
}

export function start() {
  onStream("rates", takeRates);
  onValue("topics", show);
  const buttons = $("topic-look");
  segments(buttons, [["table", "Table"], ["graph", "Graph"]], look, (value) => {
    look = value;
    $("graph").hidden = look !== "graph";
    $("topic-table").hidden = look === "graph";
    show(values.topics ?? []);
  });
  chooseLook = (value) => buttons.children[value === "table" ? 0 : 1].click();
  $("topic-filter").addEventListener("input", () => show(values.topics ?? []));
}
