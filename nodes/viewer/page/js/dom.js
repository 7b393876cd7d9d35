// Small things every panel needs. Text from the robot only ever becomes text, never markup.

export const $ = (id) => document.getElementById(id);

/** Make an element: el("li", {class: "row", onclick}, "text", child…). */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

/** Set text only if it differs, so that nothing is laid out in vain. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Call a panel; what fails in it is said in the log panel, and stops no other panel. */
export function attempt(act, ...given) {
  try {
    act(...given);
  } catch (error) {
    reportError(error);
  }
}

/** Make a row of buttons of which one is pressed. */
export function segments(box, choices, chosen, onchange) {
  const buttons = choices.map(([value, label]) =>
    el("button", { type: "button", "aria-pressed": String(value === chosen), onclick: () => choose(value) }, label));
  function choose(value) {
    choices.forEach(([v], i) => buttons[i].setAttribute("aria-pressed", String(v === value)));
    onchange(value);
  }
  box.append(...buttons);
}

/** Fit a canvas to its place on the screen; return its 2D context, in CSS pixels, and its size. */
export function fitted(canvas) {
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return [pen, width, height];
}

const style = getComputedStyle(document.documentElement);
const colours = new Map();
/** A colour of the style sheet, by the name of its custom property. */
export function colour(name) {
  if (!colours.has(name)) colours.set(name, style.getPropertyValue(`--${name}`).trim());
  return colours.get(name);
}

/** The other look has other colours: what is painted is painted anew. */
matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => {
  colours.clear();
  dispatchEvent(new Event("resize"));
});

const HUES = 8;
const given = { series: new Map(), label: new Map() };
/** The same hue for the same word of a kind, as long as the page is open; it is another colour in each look. */
function hueOf(kind, word) {
  const known = given[kind];
  if (!known.has(word)) known.set(word, `series-${(known.size % HUES) + 1}`);
  return known.get(word);
}
/** For a canvas: the colour as it is now. */
export const seriesColour = (name) => colour(hueOf("series", name));
export const labelColour = (label) => colour(hueOf("label", label));
/** For an element's style. */
export const seriesStyle = (name) => `var(--${hueOf("series", name)})`;
export const labelStyle = (label) => `var(--${hueOf("label", label)})`;

export const FONT = "Inter, system-ui, sans-serif";

export function number(value, digits = 1) {
  return value === null || value === undefined ? "–" : value.toFixed(digits);
}

/** Three significant figures at most, no trailing noise. */
export function brief(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

export function bytes(perSecond) {
  if (!perSecond) return perSecond === 0 ? "0 B/s" : "–";
  if (perSecond >= 1e6) return `${(perSecond / 1e6).toFixed(1)} MB/s`;
  if (perSecond >= 1e3) return `${(perSecond / 1e3).toFixed(perSecond >= 1e5 ? 0 : 1)} kB/s`;
  return `${perSecond.toFixed(0)} B/s`;
}

export function span(milliseconds) {
  const s = Math.max(0, milliseconds) / 1000;
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return `${Math.round(s / 3600)} h`;
}

export function clock(robotMs, withMs = false) {
  const t = new Date(robotMs);
  const text = [t.getHours(), t.getMinutes(), t.getSeconds()].map((n) => String(n).padStart(2, "0")).join(":");
  return withMs ? `${text}.${String(t.getMilliseconds()).padStart(3, "0")}` : text;
}

export const total = (drops) => Object.values(drops).reduce((a, b) => a + b, 0);
export const reasons = (drops) => Object.entries(drops).map(([why, n]) => `${n} ${why}`).join(", ");
