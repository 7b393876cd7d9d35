// Who tells whom: nodes and topics from left to right, as data flows.

import { $, brief, el, put } from "./dom.js";
import { values } from "./link.js";

const COLUMN = 212, ROW = 34, WIDE = 166, HIGH = 24, EDGE = 14, MOST_SHARE = 0.5;
const SVG = "http://www.w3.org/2000/svg";
let drawn = "", rates = new Map();

function svg(tag, props, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Return edges [from, to] between "n:node" and "t:topic", and who listens to nearly everything. */
function edgesOf(topics, wanted) {
  const known = topics.filter((t) => !t.topic.startsWith("@") && !t.topic.includes("*"));
  const heard = new Map();
  for (const t of known) for (const node of new Set(t.subs.map((e) => e.node))) heard.set(node, (heard.get(node) ?? 0) + 1);
  const watchers = [...heard].filter(([, n]) => n > 4 && n > known.length * MOST_SHARE);
  const isWatcher = new Set(watchers.map(([name]) => name));
  const edges = new Map();
  for (const t of known) {
    const ends = [...t.pubs.map((e) => [`n:${e.node}`, `t:${t.topic}`]),
      ...t.subs.filter((e) => !isWatcher.has(e.node)).map((e) => [`t:${t.topic}`, `n:${e.node}`])];
    for (const edge of ends) if (!wanted || edge.join(" ").toLowerCase().includes(wanted)) edges.set(edge.join("\n"), edge);
  }
  return [[...edges.values()].sort(), watchers];
}

/** Give each box its column: as far right as the longest way to it, loops being cut where they close. */
function columns(edges) {
  const after = new Map(), column = new Map(), open = new Set(), order = [];
  for (const [from, to] of edges) {
    for (const box of [from, to]) if (!after.has(box)) after.set(box, []);
    after.get(from).push(to);
  }
  const back = new Set();
  function visit(box) {
    if (column.has(box)) return;
    column.set(box, 0);
    open.add(box);
    for (const next of after.get(box)) open.has(next) ? back.add(`${box}\n${next}`) : visit(next);
    open.delete(box);
    order.unshift(box);
  }
  const heads = new Set(edges.map(([, to]) => to));
  for (const box of [...after.keys()].sort((a, b) => heads.has(a) - heads.has(b) || (a < b ? -1 : 1))) visit(box);
  for (const box of order) {
    for (const next of after.get(box)) {
      if (!back.has(`${box}\n${next}`)) column.set(next, Math.max(column.get(next), column.get(box) + 1));
    }
  }
  for (const box of order) {  // who hears nobody stands beside the first that hears it
    const next = after.get(box).filter((other) => !back.has(`${box}\n${other}`)).map((other) => column.get(other));
    if (!heads.has(box) && next.length) column.set(box, Math.min(...next) - 1);
  }
  return column;
}

/** Put the boxes of each column in an order that keeps lines short. */
function placed(edges, column) {
  const lanes = [];
  for (const [box, at] of column) (lanes[at] ??= []).push(box);
  const place = new Map();
  const number = () => lanes.forEach((lane) => lane.forEach((box, i) => place.set(box, i - (lane.length - 1) / 2)));
  lanes.forEach((lane) => lane.sort());
  number();
  const near = new Map([...column.keys()].map((box) => [box, []]));
  for (const [from, to] of edges) { near.get(from).push(to); near.get(to).push(from); }
  for (let sweep = 0; sweep < 8; sweep++) {
    const middle = (box) => near.get(box).reduce((sum, other) => sum + place.get(other), 0) / near.get(box).length;
    for (const lane of sweep % 2 ? lanes.toReversed() : lanes) {
      const wish = new Map(lane.map((box) => [box, middle(box)]));
      lane.sort((a, b) => wish.get(a) - wish.get(b) || (a < b ? -1 : 1));
      number();
    }
  }
  const tallest = Math.max(0, ...lanes.map((lane) => lane.length));
  const at = new Map([...column].map(([box, x]) => [box, [EDGE + x * COLUMN, EDGE + (place.get(box) + (tallest - 1) / 2) * ROW]]));
  return [at, lanes.length * COLUMN - (COLUMN - WIDE) + 2 * EDGE, tallest * ROW + EDGE];
}

function shortName(box, prefix) {
  const name = box.slice(2), text = name.startsWith(prefix) ? name.slice(prefix.length) : name;
  return text.length > 21 ? `…${text.slice(-20)}` : text;
}

/** Return the namespace that most names share; it goes without saying. */
function prefixOf(edges) {
  const counts = new Map(), boxes = new Set(edges.flat());
  for (const box of boxes) {
    const first = `${box.slice(2).split("/")[0]}/`;
    counts.set(first, (counts.get(first) ?? 0) + 1);
  }
  return [...counts].find(([, n]) => n > boxes.size / 2)?.[0] ?? "";
}

function path([x0, y0], [x1, y1]) {
  const a = [x0 + WIDE, y0 + HIGH / 2], b = [x1, y1 + HIGH / 2], bend = x1 > x0 ? Math.max(30, (b[0] - a[0]) / 2) : 90;
  return `M${a} C${a[0] + bend},${a[1]} ${b[0] - bend},${b[1]} ${b}`;
}

function draw(edges, watchers, onTopic) {
  const [at, width, height] = placed(edges, columns(edges)), prefix = prefixOf(edges);
  rates = new Map();
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height });
  for (const [from, to] of edges) picture.append(svg("path", { d: path(at.get(from), at.get(to)), "data-from": from, "data-to": to }));
  for (const [box, [x, y]] of at) picture.append(boxOf(box, x, y, { prefix, onTopic }));
  const all = watchers.map(([name, n]) => `${name} (${n})`).join(", ");
  $("graph").replaceChildren(edges.length ? picture : el("p", { class: "none" }, "No topics yet"),
    ...(all ? [el("p", { class: "none" }, `Not drawn, since they listen to most topics: ${all}`)] : []));
}

function boxOf(box, x, y, { prefix, onTopic }) {
  const isTopic = box.startsWith("t:"), rate = svg("text", { x: WIDE - 8, y: 16, class: "rate" });
  if (isTopic) rates.set(box.slice(2), rate);
  const made = svg("g", { transform: `translate(${x} ${y})`, class: isTopic ? "topic" : "node", "data-box": box, tabindex: 0 },
    svg("title", {}, box.slice(2)), svg("rect", { width: WIDE, height: HIGH, rx: isTopic ? 12 : 5 }),
    svg("text", { x: 10, y: 16 }, shortName(box, prefix)), ...(isTopic ? [rate] : []));
  const light = (on) => {
    for (const line of $("graph").querySelectorAll("path")) line.classList.toggle("lit", on && [line.dataset.from, line.dataset.to].includes(box));
  };
  for (const event of ["pointerenter", "focus"]) made.addEventListener(event, () => light(true));
  for (const event of ["pointerleave", "blur"]) made.addEventListener(event, () => light(false));
  const act = () => isTopic && onTopic(box.slice(2));
  made.addEventListener("click", act);
  made.addEventListener("keydown", (event) => { if (event.key === "Enter") act(); });
  return made;
}

/** Bring the graph up to date; drawn anew only when somebody came or went. */
export function showGraph(filter, onTopic) {
  const [edges, watchers] = edgesOf(values.topics ?? [], filter);
  const now = JSON.stringify([edges, watchers.map(([name]) => name)]);
  if (now !== drawn) draw(edges, watchers, onTopic);
  drawn = now;
  for (const topic of values.topics ?? []) if (rates.has(topic.topic)) put(rates.get(topic.topic), topic.away ? "away" : brief(topic.rate));
}
