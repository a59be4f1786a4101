"use strict";
// Polls the rows and draws one plot a metric. Everything that comes from a run becomes a text node or a number.

const EVERY = 2000; // milliseconds between two polls
const WIDTH = 420, HEIGHT = 240, LEFT = 52, RIGHT = 10, TOP = 8, BOTTOM = 24; // of a plot, in its own units
const PARTS = { train: "training", val: "validation" };
const plots = new Map(); // metric -> its card
const logarithmic = new Map(); // metric -> the reader's choice
const hidden = new Set(); // names of runs that the reader switched off
const runs = new Map(); // name -> what is known of it; its curves: metric -> stretches of points
const lines = new Map(); // name -> its line in the list
let names = []; // of the runs, in their order: a run keeps its colour
let now = 0, token = "";

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "text", "circle"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return node;
}

const shown = (value) => (typeof value === "number" ? short(value, 4) : value); // text where JSON has no number
const least = (values) => values.reduce((a, b) => Math.min(a, b)); // as arguments of one call they may be too many
const greatest = (values) => values.reduce((a, b) => Math.max(a, b));
const clock = (seconds) => new Date(1000 * seconds).toLocaleTimeString();

function ago(seconds) {
  const s = Math.max(0, Math.round(seconds));
  return s < 60 ? `${s} s ago` : s < 3600 ? `${Math.floor(s / 60)} min ago` : `${Math.floor(s / 3600)} h ago`;
}

async function poll() {
  let wait = EVERY;
  try {
    const answer = await fetch(token ? `/rows.json?since=${token}` : "/rows.json");
    if (!answer.ok) throw new Error(`the answer ${answer.status}`);
    const news = await answer.json();
    const changed = take(news);
    if (news.more) wait = 0;
    const count = names.length;
    note(count === 0 ? "Waiting for the first row." : `${count} ${count === 1 ? "run" : "runs"}, read at ${clock(now)}`);
    drawRuns(news);
    if (changed.size) drawPlots(changed);
  } catch (error) {
    note(`No new rows: the server does not answer (${error.message}). What you see is as of ${clock(now)}.`);
  }
  setTimeout(poll, wait);
}

// Adds what is new to what is known; the metrics whose plots are to be drawn again.
function take(news) {
  const changed = new Set();
  now = news.now;
  token = news.token;
  if (news.whole) runs.clear();
  for (const run of news.runs) {
    const before = runs.get(run.name)?.curves ?? new Map();
    const curves = new Map(Object.keys(run.last).map((key) => [key, before.get(key) ?? []]));
    for (const [key, [start, stretches]] of Object.entries(run.curves)) curves.get(key).splice(start, Infinity, ...stretches);
    for (const key of [...before.keys(), ...curves.keys()]) changed.add(split(key)[1]);
    runs.set(run.name, { ...run, curves });
  }
  if (news.names) {
    names = news.names;
    for (const name of runs.keys()) if (!names.includes(name)) runs.delete(name);
    for (const metric of [...plots.keys(), ...byMetric().keys()]) changed.add(metric); // the colours are others
  }
  return changed;
}

function note(text) {
  document.getElementById("note").textContent = text;
}

// ---- the list of runs

function drawRuns(news) {
  const list = document.getElementById("runs"), all = news.names !== undefined;
  for (const name of all ? names : news.runs.map((run) => run.name)) drawRun(list, name, names.indexOf(name));
  for (const [name, line] of lines) {
    if (!runs.has(name)) {
      line.remove();
      lines.delete(name);
    } else line.querySelector(".since").textContent = since(runs.get(name));
  }
  if (all && [...list.children].some((line, i) => line !== lines.get(names[i]))) list.append(...names.map((name) => lines.get(name)));
}

// Where the line is there it is filled anew: the reader's hands may be on its box.
function drawRun(list, name, i) {
  const focused = lines.get(name)?.contains(document.activeElement);
  const line = runLine(runs.get(name), i);
  if (lines.has(name)) lines.get(name).replaceWith(line);
  else list.append(line);
  lines.set(name, line);
  if (focused) line.querySelector("input")?.focus();
}

function runLine(run, i) {
  const line = make("li", {}, names.length > 1 ? runSwitch(run, i) : make("span", { class: "name" }, run.name));
  line.append(make("span", { class: `state ${run.state}` }, run.state));
  line.append(make("span", { class: "step" }, stepOf(run)));
  const done = run.steps ? [make("progress", { max: run.steps, value: run.step, "aria-label": "steps done" })] : [];
  line.append(make("span", { class: "bar" }, ...done), make("span", { class: "since" }, since(run)));
  if (run.note) line.append(make("span", { class: "problem" }, run.note));
  return line;
}

function stepOf(run) {
  if (run.state === "unreadable" && !run.step) return "";
  return `step ${run.step.toLocaleString()}` + (run.steps ? ` of ${run.steps.toLocaleString()}` : "");
}

function since(run) {
  if (run.changed === null) return "";
  if (run.state === "running") return `last row ${ago(now - run.changed)}`;
  if (run.state !== "stalled") return ago(now - run.changed);
  return `since ${new Date(1000 * run.changed).toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" })}`;
}

function runSwitch(run, i) {
  const box = make("input", { type: "checkbox", "data-run": run.name });
  box.checked = !hidden.has(run.name);
  box.addEventListener("change", () => {
    if (box.checked) hidden.delete(run.name);
    else hidden.add(run.name);
    drawPlots(new Set([...run.curves.keys()].map((key) => split(key)[1])));
  });
  return make("label", { class: `c${i % 8}` }, box, " ", make("span", {}, run.name));
}

// ---- one plot a metric

// "train/loss" and "val/loss" are two parts of "loss"; any other name is a metric of its own.
function split(key) {
  const [part, ...rest] = key.split("/");
  return Object.hasOwn(PARTS, part) && rest.length ? [part, rest.join("/")] : ["", key];
}

function byMetric(wanted) {
  const metrics = new Map();
  names.forEach((name, i) => {
    if (hidden.has(name) || !runs.has(name)) return;
    const run = runs.get(name);
    for (const [key, value] of Object.entries(run.last)) {
      const [part, metric] = split(key);
      if (wanted && !wanted.has(metric)) continue;
      if (!metrics.has(metric)) metrics.set(metric, []);
      metrics.get(metric).push({ ...look(part, run, i, metric), points: run.curves.get(key).flat(), last: value });
    }
  });
  return metrics;
}

// One run: a colour a part, as in the report. Several: a colour a run, and training dashed beside validation.
function look(part, run, i, metric) {
  if (names.length === 1) return { style: part === "val" ? "val" : "train", label: PARTS[part] ?? "" };
  const dashed = part === "train" && Object.hasOwn(run.last, `val/${metric}`);
  return { style: `c${i % 8}${dashed ? " dashed" : ""}`, label: part ? `${run.name} ${PARTS[part]}` : run.name };
}

function drawPlots(changed) {
  const metrics = byMetric(changed);
  for (const metric of changed) {
    if (plots.has(metric) && !metrics.has(metric)) {
      plots.get(metric).remove();
      plots.delete(metric);
    }
  }
  for (const [metric, curves] of metrics) {
    if (!plots.has(metric)) plots.set(metric, newCard(metric));
    drawCard(plots.get(metric), metric, curves);
  }
}

function newCard(metric) {
  const button = make("button", { type: "button" }, "log scale");
  button.addEventListener("click", () => {
    logarithmic.set(metric, button.getAttribute("aria-pressed") !== "true");
    drawPlots(new Set([metric]));
  });
  const heading = make("div", {}, make("h2", {}, metric.replaceAll("_", " ")), button);
  const card = make("article", {}, heading, make("svg", {}), make("ul", { class: "legend" }));
  document.getElementById("plots").append(card);
  return card;
}

function drawCard(card, metric, curves) {
  const values = curves.flatMap((curve) => curve.points.map((point) => point[1]));
  const positive = values.filter((value) => value > 0);
  const wide = positive.length > 0 && positive.length === values.length && greatest(positive) > 100 * least(positive);
  const log = (logarithmic.get(metric) ?? wide) && positive.length > 0;
  const button = card.querySelector("button");
  button.setAttribute("aria-pressed", log);
  button.disabled = positive.length === 0;
  const entries = curves.map((curve) => make("li", { class: curve.style }, make("span", {}, `${curve.label} ${shown(curve.last)}`)));
  card.querySelector(".legend").replaceChildren(...entries);
  card.querySelector("svg").replaceWith(plot(metric, curves, log, entries));
}

function plot(metric, curves, log, entries) {
  const usable = curves.map((curve) => curve.points.filter((point) => !log || point[1] > 0));
  const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${metric} over steps` });
  const all = usable.flat();
  if (all.length === 0) {
    svg.append(make("text", { x: WIDTH / 2, y: HEIGHT / 2, "text-anchor": "middle" }, "no finite value"));
    return svg;
  }
  const x = scale(all.map((point) => point[0]), LEFT, WIDTH - RIGHT, false);
  const y = scale(all.map((point) => point[1]), HEIGHT - BOTTOM, TOP, log);
  for (const tick of y.ticks) {
    svg.append(make("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) }));
    svg.append(make("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, short(tick)));
  }
  for (const tick of x.ticks) svg.append(make("text", { x: x(tick), y: HEIGHT - 6, "text-anchor": "middle" }, short(tick)));
  svg.append(make("text", { x: LEFT - 6, y: HEIGHT - 6, "text-anchor": "end" }, "step"));
  usable.forEach((points, i) => {
    if (points.length === 1) svg.append(make("circle", { class: curves[i].style, cx: x(points[0][0]), cy: y(points[0][1]), r: 2.5 }));
    const d = points.map((point, k) => `${k ? "L" : "M"}${x(point[0]).toFixed(1)} ${y(point[1]).toFixed(1)}`).join("");
    svg.append(make("path", { class: curves[i].style, d }));
  });
  readOut(svg, x, curves, usable, entries);
  return svg;
}

// A position for every value, and round values to mark.
function scale(values, start, end, log) {
  const on = log ? Math.log10 : Number;
  let low = on(least(values));
  let high = on(greatest(values));
  if (low === high) [low, high] = [low - (Math.abs(low) || 1) / 10, high + (Math.abs(high) || 1) / 10];
  const share = (value) => (on(value) / 2 - low / 2) / (high / 2 - low / 2); // by halves: 1e308 - -1e308 is no number
  const at = (value) => start + share(value) * (end - start);
  at.steps = (position) => low + ((position - start) / (end - start)) * (high - low);
  at.ticks = log && high - low >= 1 ? decades(low, high) : round(low, high, log);
  return at;
}

function round(low, high, log) {
  const [first, last] = log ? [10 ** low, 10 ** high] : [low, high];
  const rough = last / 6 - first / 6, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const lowest = Math.ceil(first / step - 1e-9); // not counted up itself: beyond 2 ** 53, k + 1 is k
  const ticks = Array.from({ length: 8 }, (_, k) => (lowest + k) * step);
  return [...new Set(ticks)].filter((tick) => tick <= last + step * 1e-9);
}

function decades(low, high) {
  const every = Math.max(1, Math.ceil((high - low) / 5));
  const factors = high - low < 2.5 ? [1, 2, 5] : [1];
  const ticks = [];
  for (let k = Math.floor(low); k <= high; k += every) ticks.push(...factors.map((factor) => factor * 10 ** k));
  return ticks.filter((tick) => Math.log10(tick) >= low - 1e-9 && Math.log10(tick) <= high + 1e-9);
}

function short(value, digits = 6) {
  const size = Math.abs(value), rounded = Number(value.toPrecision(digits));
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return rounded.toExponential().replace("e+", "e");
  return rounded.toLocaleString(undefined, { maximumFractionDigits: 9 });
}

// Under the pointer: the nearest row of every curve, in the place of the last values.
function readOut(svg, x, curves, usable, entries) {
  const cursor = make("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
  svg.append(cursor);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const step = x.steps(((event.clientX - box.left) / box.width) * WIDTH);
    const nearest = usable.map((points) => nearestTo(step, points));
    const one = nearest.find((point) => point !== undefined);
    cursor.setAttribute("x1", x(one[0]));
    cursor.setAttribute("x2", x(one[0]));
    cursor.setAttribute("visibility", "visible");
    entries.forEach((entry, i) => {
      if (nearest[i]) entry.firstChild.textContent = `${curves[i].label} ${shown(nearest[i][1])} at ${nearest[i][0].toLocaleString()}`;
    });
  });
  svg.addEventListener("pointerleave", () => {
    cursor.setAttribute("visibility", "hidden");
    entries.forEach((entry, i) => (entry.firstChild.textContent = `${curves[i].label} ${shown(curves[i].last)}`));
  });
}

function nearestTo(step, points) {
  if (points.length === 0) return undefined;
  return points.reduce((best, point) => (Math.abs(point[0] - step) < Math.abs(best[0] - step) ? point : best));
}

poll();
