// The stop, the latch, and the guarded reset.

import { $, put, span } from "./dom.js";
import { ask, isLive, onValue, robotNow, values } from "./link.js";

const HOLD_MS = 1200;
const KEEP_TRYING_MS = 5000;
const WORDS = {
  permitted: "Motion permitted",
  stopped: "Not yet permitted",
  tripped: "Stopped",
  killed: "Killed: only the console lifts it",
  unknown: "Guardian does not answer",
  unguarded: "No guardian in this launch",
};

const words = (state) => (values.replay && state === "unknown" ? "Not known yet" : WORDS[state] ?? state);

let holdingSince = 0, noticeUntil = 0;

export function notice(text, kind, forMs = 6000) {
  put($("outcome"), text);
  $("outcome").dataset.kind = kind;
  $("outcome").hidden = false;
  noticeUntil = performance.now() + forMs;
}

async function stop(cause) {
  $("stop").dataset.busy = "";
  const started = performance.now();
  let answer = await ask("stop", { cause }, 1000);
  while (!answer.reached && performance.now() - started < KEEP_TRYING_MS) {
    notice("Stop has NOT reached the robot. Trying again…", "bad", 60000);
    await new Promise((resolve) => setTimeout(resolve, 250));
    answer = await ask("stop", { cause }, 1000);
  }
  delete $("stop").dataset.busy;
  const took = `${Math.round(performance.now() - started)} ms`;
  if (!answer.reached) {
    notice("Stop has NOT reached the robot. Use the switch on the robot, or type: olympus stop", "bad", 3600000);
  } else if (answer.ok) {
    notice(`Stop ${answer.outcome ?? "done"} in ${took}. ${answer.text ?? ""}`, "good");
  } else {
    notice(`Stop ${answer.outcome ?? "failed"}: ${answer.text}`, "bad", 3600000);
  }
}

async function reset() {
  const answer = await ask("reset", { latch: values.safety?.latch ?? null });
  notice(answer.ok ? `Motion is permitted again: ${answer.text}` : answer.text,
    answer.ok ? "good" : "warn");
}

const isText = (target) => target.matches?.('input, textarea, select, [contenteditable="true"]');

function onKey(event) {
  if (values.replay) return;  // there is nothing to stop; the bar has keys of its own
  if (event.key !== "Escape" && event.code !== "Space") return;
  if (isText(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  event.preventDefault();  // no button is pressed by the space that stops
  if (event.type === "keydown" && !event.repeat) stop(`key ${event.key === "Escape" ? "Esc" : "Space"}`);
}

function hold() {
  holdingSince = performance.now();
  const step = () => {
    if (!holdingSince) return;
    const share = (performance.now() - holdingSince) / HOLD_MS;
    $("reset").style.setProperty("--held", `${Math.min(100, share * 100)}%`);
    if (share < 1) return requestAnimationFrame(step);
    release();
    reset();
  };
  step();
}

function release() {
  holdingSince = 0;
  $("reset").style.setProperty("--held", "0%");
}

function why(safety) {
  const parts = [];
  if (safety.state === "unknown" && values.replay) return "nothing of the stop is recorded up to here";
  if (safety.state === "unknown") return "nothing is known about the stop; treat the robot as able to move";
  if (safety.state === "unguarded") return "its launch file has no safety section: no gate lets anything move";
  if (safety.cause && safety.state !== "permitted") parts.push(safety.cause);
  if (safety.by && safety.state !== "permitted") parts.push(`by ${safety.by}`);
  if (safety.since) parts.push(`for ${span(robotNow() - safety.since)}`);
  if (safety.waiting?.length) parts.push(`waits for ${safety.waiting.join(", ")}`);
  if (safety.estop === false) parts.push("stop input released");
  return parts.join(" · ");
}

export function refresh() {
  const safety = values.safety ?? { state: "unknown" };
  $("top").dataset.state = safety.state;
  put($("latch-state"), (isLive() || !robotNow() ? "" : "Was: ") + words(safety.state));
  put($("latch-why"), why(safety));
  $("latch-why").title = why(safety);
  $("reset").hidden = !["stopped", "tripped"].includes(safety.state) || !isLive() || Boolean(values.replay);
  if (performance.now() > noticeUntil) $("outcome").hidden = true;
}

export function start() {
  onValue("safety", refresh);
  $("stop").addEventListener("pointerdown", (event) => { if (event.button === 0) stop("stop button"); });
  $("stop").addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.repeat) stop("stop button"); });
  addEventListener("keydown", onKey, true);
  addEventListener("keyup", onKey, true);
  const button = $("reset");
  button.addEventListener("pointerdown", (event) => { if (event.button === 0) hold(); });
  for (const end of ["pointerup", "pointerleave", "pointercancel", "blur"]) button.addEventListener(end, release);
  button.addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.repeat) hold(); });
  button.addEventListener("keyup", release);
  button.addEventListener("contextmenu", (event) => event.preventDefault());
}
