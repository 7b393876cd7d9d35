// What the robot is about, and the line to tell it something.

import { $, el, put } from "./dom.js";
import { ask, onValue, values } from "./link.js";

function facts() {
  const mission = values.mission, battery = values.battery;
  const list = [];
  if (mission) {
    list.push(["Mission", mission.mission || "none"]);
    const isHeld = ["blocked", "blind", "stopped", "yielding"].includes(mission.state);
    list.push(["State", mission.reason ? `${mission.state}: ${mission.reason}` : mission.state, isHeld]);
    if (mission.goal) list.push(["Next", mission.goal]);
    list.push(["Laps", String(mission.laps)]);
  }
  if (battery) list.push(["Battery", `${Math.round(battery.charge * 100)} % · ${battery.voltage?.toFixed(1)} V`, battery.charge < 0.2]);
  $("facts").replaceChildren(...list.map(([name, text, isWarning]) =>
    el("div", {}, el("dt", {}, name), el("dd", { class: isWarning ? "warn" : "", title: text }, text))));
}

async function say(event) {
  event.preventDefault();
  const text = $("sentence").value.trim();
  if (!text) return;
  put($("answer"), "…");
  const answer = await ask("say", { text });
  put($("answer"), answer.text);
  $("answer").dataset.kind = answer.ok ? "good" : "bad";
  if (answer.ok) $("sentence").value = "";
  setTimeout(() => { if ($("answer").textContent === answer.text) put($("answer"), ""); }, 8000);
}

export function start() {
  onValue("mission", facts);
  onValue("battery", facts);
  $("say").addEventListener("submit", say);
}
