// The line to the robot: one web socket that comes back by itself, and commands by POST.

import { attempt } from "./dom.js";

const STALE_MS = 1500;
const listeners = { value: new Map(), stream: new Map(), picture: [], state: [], lost: [] };

let token = document.querySelector('meta[name="olympus-token"]').content;
let socket = null;
let retryMs = 250;
let refusal = "";
let robotMs = 0, heardAt = -Infinity;

/** Newest state of every value, by name. */
export const values = {};

export const onValue = (name, act) => add(listeners.value, name, act);
export const onStream = (name, act) => add(listeners.stream, name, act);
export const onPicture = (act) => listeners.picture.push(act);
export const onState = (act) => listeners.state.push(act);

function add(map, name, act) {
  if (!map.has(name)) map.set(name, []);
  map.get(name).push(act);
}

/** Robot time now, ms; it runs on while the line is down, so ages grow. */
export const robotNow = () => (robotMs ? robotMs + (performance.now() - heardAt) * pace() : 0);
/** How fast robot time goes by: 1, unless a recording is shown. */
const pace = () => (values.replay ? (values.replay.is_playing ? values.replay.speed : 0) : 1);
/** How long nothing was heard, ms. */
export const silence = () => performance.now() - heardAt;
/** Why the robot's side closed the line; empty when it only broke. */
export const whyClosed = () => refusal;
export const isLive = () => silence() < STALE_MS;

export function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  socket.binaryType = "arraybuffer";
  const mine = socket;
  socket.onmessage = (event) => (typeof event.data === "string" ? onText(event.data) : onBinary(event.data));
  socket.onopen = () => { retryMs = 250; sayWhetherVisible(); };
  socket.onclose = (event) => {
    if (mine !== socket) return;
    refusal = event.code === 1013 ? event.reason : "";
    if (refusal) retryMs = 3000;
    setTimeout(connect, retryMs);
    retryMs = Math.min(retryMs * 1.6, 3000);
  };
}

function say(what) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(what));
}

function sayWhetherVisible() {
  say({ picture: document.visibilityState === "visible" });
}
document.addEventListener("visibilitychange", sayWhetherVisible);

function onText(text) {
  try {
    const news = JSON.parse(text);
    if (news.token) {
      token = news.token;
      forget();
      return;
    }
    if (news.anew) forget();
    robotMs = news.now;
    heardAt = performance.now();
    for (const [name, state] of Object.entries(news.values)) {
      values[name] = state;
      for (const act of listeners.value.get(name) ?? []) attempt(act, state);
    }
    for (const [name, items] of Object.entries(news.streams)) {
      for (const act of listeners.stream.get(name) ?? []) attempt(act, items, news.lost[name] ?? 0);
    }
    for (const act of listeners.state) attempt(act, news);
  } finally {
    say({ ack: "state" });
  }
}

/** A new start, or another place of a recording: what streams brought is no longer so. */
function forget() {
  listeners.stream.forEach((acts) => acts.forEach((act) => attempt(act, null)));
}

async function onBinary(data) {
  try {
    const size = new DataView(data).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, size)));
    const body = new Blob([new Uint8Array(data, 4 + size)], { type: "image/jpeg" });
    const picture = await createImageBitmap(body);
    for (const act of listeners.picture) attempt(act, head, picture);
    picture.close();
  } finally {
    say({ ack: "picture" });
  }
}

/** Ask for something; resolves to {ok, text, …}, also when the line is down. */
export async function ask(what, body = {}, timeoutMs = 3000) {
  try {
    const response = await fetch(`/api/${what}`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-olympus-token": token },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });
    return { ok: response.ok, ...(await response.json()), reached: true };
  } catch (error) {
    return { ok: false, reached: false, text: `${values.replay ? "olympus replay does not answer" : "the robot can't be reached"} (${error.name})` };
  }
}
