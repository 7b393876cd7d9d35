// The bar of a recording: where in it the page is, and how fast it goes on. Hidden over a live robot.

import { $, clock, el, put, segments } from "./dom.js";
import { ask, onValue, values } from "./link.js";
import { notice } from "./safety.js";

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8], STEP_S = 5, SEEK_EVERY_MS = 120, KNOB_PX = 16, NEAR_PX = 8;
let wanted = null, isAsking = false, isHeld = false, chooseSpeed = () => {};

const isText = (target) => target.matches?.('input:not([type="range"]), textarea, select');

function time(seconds, withTenths = false) {
  const s = Math.max(0, seconds), whole = Math.floor(s);
  const text = `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
  return withTenths ? `${text}.${Math.floor((s - whole) * 10)}` : text;
}

function show(replay) {
  const is = Boolean(replay);
  document.documentElement.toggleAttribute("data-replay", is);
  $("replay").hidden = !is;
  if (!is) return;
  const place = wanted ?? replay.place, share = replay.length ? place / replay.length : 0;
  if (!isHeld) $("seek").value = String(place);
  $("seek").max = String(replay.length);
  $("seek").setAttribute("aria-valuetext", `${time(place)} of ${time(replay.length)}`);
  $("replay").style.setProperty("--share", `${share * 100}%`);
  put($("place"), time(place, true));
  put($("clock"), clock(replay.began + place * 1000));
  put($("length"), time(replay.length));
  $("play").setAttribute("aria-pressed", String(replay.is_playing));
  $("play").setAttribute("aria-label", replay.is_playing ? "Pause" : "Play");
  $("loop").setAttribute("aria-pressed", String(replay.loops));
  chooseSpeed(replay.speed);
}

function showMarks(marks) {
  const length = values.replay?.length;
  if (!marks || !length) return;
  $("marks").replaceChildren(...marks.map(([at, kind, text]) =>
    el("i", { "data-kind": kind, "data-text": text, style: { left: `${(at / length) * 100}%` } })));
}

/** Say which time is below the pointer, or the knob, and what happened there. */
function showSpot(place) {
  const { began, length } = values.replay, room = $("seek").clientWidth - KNOB_PX;
  const near = (values.marks ?? []).map(([at, , text]) => [Math.abs(at - place) / length * room, at, text])
    .filter(([px]) => px <= NEAR_PX).sort((a, b) => a[0] - b[0])[0];
  const at = near ? near[1] : place;
  $("spot").replaceChildren(
    el("b", {}, near ? near[2] : time(at, true)),
    el("small", {}, `${near ? `${time(at, true)} · ` : ""}${clock(began + at * 1000)}`));
  $("spot").hidden = false;
  const x = KNOB_PX / 2 + (at / length) * room, half = $("spot").offsetWidth / 2, box = $("seek").getBoundingClientRect();
  const left = half + 8 - box.left, right = innerWidth - half - 8 - box.left;
  $("spot").style.left = `${Math.max(left, Math.min(x, right))}px`;
}

function onPoint(event) {
  const box = $("seek").getBoundingClientRect(), room = box.width - KNOB_PX;
  const share = (event.clientX - box.left - KNOB_PX / 2) / room;
  if (values.replay?.length) showSpot(Math.min(Math.max(share, 0), 1) * values.replay.length);
}

function leave() {
  if (!isHeld) $("spot").hidden = true;
}

/** Have the recording played as somebody wants; what keeps it from that is said. */
async function wish(what) {
  const answer = await ask("playback", what, 10_000);
  if (!answer.ok) notice(answer.text, "bad");
  // The answer may come before the news: the next key counts from here all the same.
  else if (what.place !== undefined) values.replay.place = what.place;
}

/** Go to a place; while one wish is under way only the newest of the others is kept. */
async function seek(place) {
  const length = values.replay?.length ?? 0;
  wanted = Math.min(Math.max(place, 0), length);
  show(values.replay);
  if (isAsking) return;
  isAsking = true;
  while (wanted !== null) {
    const asked = wanted;
    await Promise.all([
      wish({ place: asked }),
      new Promise((resolve) => setTimeout(resolve, SEEK_EVERY_MS)),
    ]);
    if (wanted === asked) wanted = null;
  }
  isAsking = false;
}

const toggle = () => wish({ is_playing: !values.replay.is_playing });
const here = () => wanted ?? values.replay.place;

/** Go to the next mark, or the one before; while it plays, one that was just passed does not count. */
function jump(isForward) {
  const places = (values.marks ?? []).map(([at]) => at), slack = values.replay.is_playing ? 1 : 0.05;
  const found = isForward ? places.find((at) => at > here() + 0.05) : places.findLast((at) => at < here() - slack);
  if (found !== undefined) seek(found);
}

const KEYS = {
  " ": toggle,
  ArrowLeft: (event) => seek(here() - (event.shiftKey ? 0.2 : STEP_S)),
  ArrowRight: (event) => seek(here() + (event.shiftKey ? 0.2 : STEP_S)),
  Home: () => seek(0),
  End: () => seek(values.replay.length),
  ",": () => jump(false),
  ".": () => jump(true),
};

function onKey(event) {
  const act = KEYS[event.key];
  if (!values.replay || !act || isText(event.target) || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  act(event);
}

export function start() {
  onValue("replay", show);
  onValue("replay", () => { if (!$("marks").childElementCount) showMarks(values.marks); });
  onValue("marks", showMarks);
  $("play").addEventListener("click", toggle);
  $("play").addEventListener("keyup", (event) => { if (event.key === " ") event.preventDefault(); });
  const bar = $("seek");
  bar.addEventListener("input", () => seek(Number(bar.value)));
  bar.addEventListener("pointerdown", (event) => { isHeld = true; onPoint(event); });
  bar.addEventListener("pointermove", onPoint);
  bar.addEventListener("pointerleave", leave);
  for (const end of ["pointerup", "pointercancel"])
    addEventListener(end, (event) => { isHeld = false; if (event.pointerType !== "mouse" || event.target !== bar) leave(); });
  $("before").addEventListener("click", () => jump(false));
  $("after").addEventListener("click", () => jump(true));
  $("loop").addEventListener("click", () => wish({ loops: !values.replay.loops }));
  addEventListener("keydown", onKey, true);
  const buttons = $("speed");
  segments(buttons, SPEEDS.map((s) => [s, `${s === 0.25 ? "¼" : s === 0.5 ? "½" : s}×`]), 1,
    (speed) => wish({ speed }));
  chooseSpeed = (speed) => [...buttons.children].forEach((button, i) =>
    button.setAttribute("aria-pressed", String(SPEEDS[i] === speed)));
}
