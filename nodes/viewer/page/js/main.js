// Puts the panels to work, and says plainly when what they show is old.

import * as camera from "./camera.js";
import { $, attempt, put, span } from "./dom.js";
import { connect, isLive, onState, onValue, robotNow, silence, values, whyClosed } from "./link.js";
import * as logs from "./logs.js";
import * as map from "./map.js";
import * as mission from "./mission.js";
import * as nodes from "./nodes.js";
import * as plots from "./plots.js";
import * as replay from "./replay.js";
import * as safety from "./safety.js";
import * as sound from "./sound.js";
import * as topics from "./topics.js";

const TICK_MS = 125;
let turn = 0;

function showLink() {
  const state = isLive() ? "live" : robotNow() ? "lost" : "connecting";
  document.documentElement.dataset.link = state;
  const unread = values.replay?.unread, recording = unread ? `recording · ${unread} not shown` : "recording";
  put($("link"), { live: values.replay ? recording : "live", lost: `lost ${span(silence())}`, connecting: "connecting" }[state]);
  const refusal = state === "live" ? "" : whyClosed();
  $("lost").hidden = state !== "lost" && !refusal;
  if (refusal) put($("lost"), `Not let in: ${refusal}. The stop works all the same. Trying again…`);
  else if (state === "lost") put($("lost"), `Connection lost. Everything below is ${span(silence())} old. Trying again…`);
  const title = values.replay ? `Olympus: recording ${values.replay.name}` : "Olympus";
  document.title = state === "lost" ? "⚠ Olympus: connection lost" : title;
}

function tick() {
  turn += 1;
  const parts = [safety, camera];
  if (document.visibilityState === "visible") parts.push(plots, map, sound);
  if (turn % 4 === 0) parts.push(nodes);
  for (const part of parts) attempt(part.refresh);
  showLink();
}

for (const part of [replay, safety, camera, plots, map, sound, topics, nodes, logs, mission]) attempt(part.start);
onValue("session", (session) => put($("session"), session?.name ?? ""));
onState(showLink);
connect();
setInterval(tick, TICK_MS);
