// Trainings as they go: a chart for each figure, a line for each run; drawn anew when a run has written more.

import {element, get, telling} from "./http.js";

const POLL_MS = 2000, WIDTH = 320, HEIGHT = 150, LEFT = 46, BOTTOM = 18, MOST = 600;
const ACROSS = ["kimg", "step", "epoch"];
const HIDDEN = ["lr", "images"];
const COLOURS = 8;
const place = document.getElementById("runs");
let runs = []; // {name, size, stage, status, records, on}

export function ready(names) {
  runs = names.map((name, index) => ({name, size: -1, records: [], stage: "", status: "", on: index < COLOURS}));
}

export async function show() {
  await poll();
  if (!place.dataset.polling) setInterval(() => { if (!place.hidden && !document.hidden) telling(poll); }, POLL_MS);
  place.dataset.polling = "yes";
}

async function poll() {
  const found = await Promise.all(runs.map(({size}, index) => get(`/curves/${index}?known=${size}`)));
  const moved = found.some((one, index) => one.records !== null || one.status !== runs[index].status);
  found.forEach(({records, ...rest}, index) => Object.assign(runs[index], rest, records === null ? {} : {records}));
  if (moved) draw();
}

function draw() {
  const names = [...new Set(runs.filter((run) => run.on).flatMap((run) => run.records.flatMap((record) => Object.keys(record))))];
  const figures = names.filter((name) => !ACROSS.includes(name) && !HIDDEN.includes(name));
  figures.sort((a, b) => rank(a) - rank(b));
  const list = runs.map((run, index) => {
    const input = element("input", {type: "checkbox", checked: run.on, onchange: () => { run.on = input.checked; draw(); }});
    const last = run.records.at(-1) ?? {}, where = ACROSS.filter((name) => name in last).map((name) => `${name} ${short(last[name])}`).join(", ");
    return element("label", {className: "run"}, input, element("i", {className: `line c${index % COLOURS}`}), element("span", {title: run.name}, run.name.split("/").filter(Boolean).slice(-2).join("/")),
      element("small", {className: run.status}, `${run.stage}, ${run.status}${where ? `, ${where}` : ""}`));
  });
  const charts = figures.map(chart).filter(Boolean);
  place.replaceChildren(element("div", {className: "runlist"}, list), charts.length ? element("div", {className: "charts"}, charts) : element("p", {className: "empty"}, "No figures yet."));
}

const rank = (name) => (name === "fid" ? 0 : name.includes("loss") ? 1 : 2);
const short = (number) => (Math.abs(number) >= 1e5 || (number && Math.abs(number) < 1e-3) ? number.toExponential(1) : Number(number.toPrecision(4)).toLocaleString("en"));

function svg(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function chart(figure) {
  const lines = runs.flatMap((run, index) => {
    if (!run.on) return [];
    const across = ACROSS.find((name) => run.records.some((record) => typeof record[name] === "number"));
    const points = run.records.filter((record) => typeof record[figure] === "number" && typeof record[across] === "number").map((record) => [record[across], record[figure]]);
    return points.length ? [{index, across, points: thinned(points)}] : [];
  });
  if (!lines.length) return null;
  const all = lines.flatMap((line) => line.points);
  const ends = (axis) => [all.reduce((a, p) => Math.min(a, p[axis]), Infinity), all.reduce((a, p) => Math.max(a, p[axis]), -Infinity)];
  const [x0, x1] = ends(0), [y0, y1] = ends(1);
  const x = (value) => LEFT + (WIDTH - LEFT - 8) * (value - x0) / (x1 - x0 || 1);
  const y = (value) => HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 8) * (value - y0) / (y1 - y0 || 1);
  const text = (at, value, anchor = "end") => svg("text", {x: at[0], y: at[1], "text-anchor": anchor}, short(value));
  const drawing = svg("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": figure},
    svg("line", {x1: LEFT, x2: WIDTH - 8, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM}), svg("line", {x1: LEFT, x2: WIDTH - 8, y1: 8, y2: 8}),
    text([LEFT - 5, HEIGHT - BOTTOM + 3], y0), text([LEFT - 5, 12], y1), text([LEFT, HEIGHT - 4], x0, "start"), text([WIDTH - 8, HEIGHT - 4], x1),
    ...lines.map(({index, points}) => points.length > 1
      ? svg("polyline", {points: points.map((p) => `${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join(" "), class: `c${index % COLOURS}`})
      : svg("circle", {cx: x(points[0][0]), cy: y(points[0][1]), r: 3, class: `c${index % COLOURS}`})));
  const last = lines.length === 1 ? ` ${short(lines[0].points.at(-1)[1])}` : "";
  return element("figure", {className: "chart", "data-figure": figure}, element("figcaption", {}, element("strong", {}, figure), last, element("small", {}, ` by ${lines[0].across}`)), drawing);
}

// At most so many points of a line, evenly, the last one among them.
function thinned(points) {
  const step = Math.ceil(points.length / MOST);
  return points.filter((_, at) => (points.length - 1 - at) % step === 0);
}
