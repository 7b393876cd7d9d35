// The log: filtered by level and by text, followed until one scrolls up.

import { $, clock, el, put, segments } from "./dom.js";
import { onStream, robotNow } from "./link.js";

const LEVELS = ["debug", "info", "warning", "error", "critical"];
const KEEP = 2000, SHOWN = 400;
const faults = new Set();
let lines = [], least = "info", missed = 0, isFollowing = true;

function take(items, lost) {
  if (items === null) { lines = []; missed = 0; return rebuild(); }
  missed += lost;
  lines.push(...items);
  lines.splice(0, Math.max(0, lines.length - KEEP));
  const fresh = items.filter(isWanted);
  if (fresh.length) {
    $("logs").append(...fresh.map(row));
    while ($("logs").children.length > SHOWN) $("logs").firstChild.remove();
    if (isFollowing) $("logs").scrollTop = $("logs").scrollHeight;
  }
  count();
}

function isWanted(line) {
  if (LEVELS.indexOf(line.level) < LEVELS.indexOf(least)) return false;
  const words = $("log-filter").value.trim().toLowerCase();
  return !words || `${line.logger} ${line.text} ${facts(line)}`.toLowerCase().includes(words);
}

const facts = (line) => Object.entries(line.fields ?? {}).map(([k, v]) => `${k}=${v}`).join(" ");

function row(line) {
  return el("li", { "data-level": line.level }, el("time", {}, clock(line.t, true)), el("em", {}, line.level),
    el("b", { title: line.logger }, line.logger), el("p", {}, line.text, " ", el("q", {}, facts(line))));
}

function rebuild() {
  $("logs").replaceChildren(...lines.filter(isWanted).slice(-SHOWN).map(row));
  if (isFollowing) $("logs").scrollTop = $("logs").scrollHeight;
  count();
}

function count() {
  const bad = lines.filter((l) => l.level === "error" || l.level === "critical").length;
  put($("log-count"), `${lines.length} lines${bad ? ` · ${bad} errors` : ""}${missed ? ` · ${missed} missed` : ""}`);
}

function follow(yes) {
  isFollowing = yes;
  $("log-follow").setAttribute("aria-pressed", String(yes));
  if (yes) $("logs").scrollTop = $("logs").scrollHeight;
}

/** Say what went wrong in the page itself, each thing once. */
function onFault({ message }) {
  if (faults.has(message)) return;
  faults.add(message);
  take([{ t: robotNow(), level: "error", logger: "this page", text: message }], 0);
}

export function start() {
  addEventListener("error", onFault);
  addEventListener("unhandledrejection", (event) => onFault({ message: String(event.reason) }));
  onStream("logs", take);
  segments($("log-level"), [["debug", "Debug"], ["info", "Info"], ["warning", "Warning"], ["error", "Error"]], least,
    (value) => { least = value; rebuild(); });
  $("log-filter").addEventListener("input", rebuild);
  $("log-follow").addEventListener("click", () => follow(!isFollowing));
  $("logs").addEventListener("wheel", (event) => { if (event.deltaY < 0) follow(false); }, { passive: true });
  $("logs").addEventListener("touchmove", () => follow(false), { passive: true });
}
