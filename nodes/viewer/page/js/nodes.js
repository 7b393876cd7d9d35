// Hosts and their nodes: what they use, how they live, when they were away, their parameters.

import { $, el, put, span } from "./dom.js";
import { ask, onValue, robotNow, values } from "./link.js";

const STRIP_MS = 120_000, RECENT_MS = 120_000;
let opened = "", params = null, isPressed = false;

function show(nodes) {
  const hosts = new Map();
  for (const node of nodes) {
    if (!hosts.has(node.host)) hosts.set(node.host, []);
    hosts.get(node.host).push(node);
  }
  if (!isPressed && !params?.contains(document.activeElement)) render(hosts);
  const here = [...hosts.values()].map((list) => list[0]).filter((n) => !n.away);
  put($("nodes-count"), `${nodes.length} in ${hosts.size} processes`);
  const cpu = here.reduce((sum, n) => sum + n.cpu, 0), rss = here.reduce((sum, n) => sum + n.rss_mb, 0);
  put($("nodes-use"), `${Math.round(cpu * 100)} % · ${Math.round(rss)} MB`);
}

/** Draw all anew, but leave the focus and the scroll where they are. */
function render(hosts) {
  const scrolled = $("nodes").scrollTop, focused = document.activeElement?.dataset?.node;
  $("nodes").replaceChildren(...[...hosts].map(([name, list]) => host(name, list)));
  $("nodes").scrollTop = scrolled;
  if (focused) $("nodes").querySelector(`[data-node="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

function host(name, nodes) {
  const one = nodes[0];
  const use = one.away
    ? [el("span", { class: "bad" }, `away ${span(robotNow() - one.seen)}`)]
    : [el("span", { title: "of one core" }, `${Math.round(one.cpu * 100)} %`), el("span", {}, `${Math.round(one.rss_mb)} MB`)];
  const again = one.restarts ? [el("span", { class: "warn", title: "times this process was started again" }, `↻ ${one.restarts}`)] : [];
  return el("section", { class: "host", "data-host": name, "data-away": String(one.away) },
    el("header", { title: `process ${one.pid}, ${one.threads} threads, loop lag ${one.lag_ms} ms` },
      el("b", {}, name), ...again, ...use),
    presence(one), ...nodes.flatMap(nodeRow));
}

function presence(one) {
  const now = robotNow();
  const gaps = one.gaps.map(([from, to]) => [from, to]);
  if (one.away) gaps.push([one.seen, now]);
  const strip = el("div", { class: "presence", title: "the last two minutes; red: away" });
  for (const [from, to] of gaps) {
    if (to < now - STRIP_MS) continue;
    const left = Math.max(0, (from - now + STRIP_MS) / STRIP_MS) * 100, right = ((to - now + STRIP_MS) / STRIP_MS) * 100;
    strip.append(el("i", { style: { left: `${left}%`, width: `${right - left}%` } }));
  }
  return strip;
}

function nodeRow(node) {
  const state = node.away ? "away" : node.state;
  const gap = node.gaps.at(-1), isRecent = gap && !node.away && robotNow() - gap[1] < RECENT_MS;
  const marks = [];
  if (isRecent) marks.push(el("span", { class: "gap", title: `back since ${span(robotNow() - gap[1])}` }, `gap ${span(gap[1] - gap[0])}`));
  if (node.errors) marks.push(el("span", { class: "bad" }, `${node.errors} errors`));
  const row = el("button", {
    class: "node", type: "button", "data-node": node.name, "data-state": state, title: node.uses,
    "aria-expanded": String(opened === node.name), onclick: () => open(node.name),
  }, el("i"), el("b", {}, node.name), ...marks, el("span", {}, state));
  const isOpen = opened === node.name;
  const parts = (values.health ?? []).filter((part) => part.node === node.name && (isOpen || part.level !== "ok"));
  return [row, ...(node.away ? [] : parts.map(partRow)), ...(isOpen && params ? [params] : [])];
}

/** How a part of a node is, as it says itself; all of them where the node is open, else only what isn't well. */
function partRow(part) {
  const values = Object.entries(part.values).map(([name, value]) => `${name}=${value}`).join(" ");
  return el("div", { class: "part", "data-level": part.level, title: `${part.text}\n${values}\nsaid ${span(robotNow() - part.t)} ago` },
    el("b", {}, part.part), el("span", {}, part.level === "ok" ? part.text : `${part.level}: ${part.text}`));
}

async function open(name) {
  opened = opened === name ? "" : name;
  params = opened ? el("div", { class: "params" }, el("p", {}, "asking…")) : null;
  show(values.nodes);
  if (!opened) return;
  const answer = await ask("params", { node: name });
  if (opened !== name) return;
  if (!answer.ok) return params.replaceChildren(el("p", {}, answer.text));
  const schema = JSON.parse(answer.schema || "{}").properties ?? {};
  const note = el("p", {}, Object.keys(answer.values).length ? "" : "no parameters");
  params.replaceChildren(...Object.entries(answer.values).map(([key, value]) => field(name, key, value, schema[key], note)), note);
}

function field(node, key, value, schema, note) {
  const input = el("input", { name: key, value, spellcheck: "false" });
  input.addEventListener("keydown", async (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const answer = await ask("param", { node, name: key, value: input.value });
    put(note, answer.ok ? `${key} is set` : answer.text);
    note.className = answer.ok ? "" : "bad";
  });
  return el("label", { title: schema?.description ?? "" }, el("span", {}, key), input);
}

export const refresh = () => values.nodes && values.nodes.some((n) => n.away) && show(values.nodes);

export function start() {
  onValue("nodes", show);
  onValue("health", () => values.nodes && show(values.nodes));
  // A row must not be replaced between press and release, or its click is lost.
  $("nodes").addEventListener("pointerdown", () => { isPressed = true; });
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { isPressed = false; });
}
