// A grid of which only what is seen is in the document; thumbnails come in blocks and are kept.

import {crops, go, value, when, word} from "./crops.js";
import {element, get, telling} from "./http.js";

const BLOCK = 200;
const KEPT = 6000; // thumbnails in memory
const MARGIN = 2; // lines above and below what is seen
const CAPTION = 18;

const box = document.getElementById("grid");
const all = element("div", {className: "all"});
const cells = new Map(); // place -> element
const pictures = new Map(); // row -> address of its thumbnail, "" where it cannot be read
const waiting = new Map(); // row -> promise
let width = 64;
let marks = () => null; // of a row: [class, text]

export const layout = () => {
  const columns = Math.max(1, Math.floor((box.clientWidth - 8) / (width + 12)));
  return {columns, pitchX: (box.clientWidth - 8) / columns, pitchY: width * 2 + CAPTION + 12};
};

export function open(marked) {
  marks = marked;
  box.append(all);
  box.addEventListener("scroll", () => requestAnimationFrame(draw));
  new ResizeObserver(redraw).observe(box);
  when("shown", () => { box.scrollTop = 0; redraw(); });
  when("at", () => { reveal(); restyle(); });
}

export function resize(pixels) {
  width = pixels;
  redraw();
  reveal();
}

export function redraw() {
  for (const cell of cells.values()) cell.remove();
  cells.clear();
  draw();
}

function draw() {
  const {columns, pitchX, pitchY} = layout();
  all.style.height = `${Math.ceil(crops.shown.length / columns) * pitchY + 8}px`;
  const first = Math.max(0, Math.floor(box.scrollTop / pitchY) - MARGIN) * columns;
  const last = Math.min(crops.shown.length, (Math.ceil((box.scrollTop + box.clientHeight) / pitchY) + MARGIN) * columns);
  for (const [place, cell] of cells) {
    if (place < first || place >= last) {
      cell.remove();
      cells.delete(place);
    }
  }
  for (let place = first; place < last; place++) {
    if (cells.has(place)) continue;
    const cell = element("figure", {className: "cell", onclick: () => go(place), "data-row": crops.shown[place]});
    const left = 4 + (place % columns) * pitchX, top = 4 + Math.floor(place / columns) * pitchY;
    Object.assign(cell.style, {left: `${left}px`, top: `${top}px`, width: `${width + 10}px`});
    fill(cell, crops.shown[place], place);
    cells.set(place, cell);
    all.append(cell);
  }
  if (first < last) fetchBlocks(first, last);
  box.toggleAttribute("data-empty", !crops.shown.length);
}

function fill(cell, row, place) {
  const mark = marks(row);
  cell.className = `cell${place === crops.at ? " chosen" : ""}${mark?.[0] === "bad" ? " rejected" : ""}`;
  cell.replaceChildren(picture(row, width * 2), element("figcaption", {}, `${value("pid", row)} · c${value("camid", row)}`));
  if (mark) cell.append(element("span", {className: `mark ${mark[0]}`}, mark[1]));
  cell.title = `person ${value("pid", row)}, camera ${value("camid", row)}, ${word("origin", row)}, ${word("filters", row)}`;
}

// A thumbnail, or a frame of its size while it comes.
export function picture(row, height) {
  const address = pictures.get(row);
  const made = address ? element("img", {src: address, alt: ""}) : element("div", {className: `none${address === "" ? " broken" : ""}`});
  made.style.height = `${height}px`;
  return made;
}

export function restyle() {
  for (const [place, cell] of cells) fill(cell, crops.shown[place], place);
}

function reveal() {
  if (crops.at < 0) return;
  const {columns, pitchY} = layout();
  const top = Math.floor(crops.at / columns) * pitchY;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + pitchY > box.scrollTop + box.clientHeight) box.scrollTop = top + pitchY - box.clientHeight + 8;
}

function fetchBlocks(first, last) {
  for (let start = Math.floor(first / BLOCK) * BLOCK; start < last; start += BLOCK) {
    const rows = [...crops.shown.subarray(start, start + BLOCK)];
    if (rows.some((row) => !pictures.has(row) && !waiting.has(row))) telling(() => thumbnails(rows).then(restyle));
  }
}

// Make sure that the thumbnails of some crops are there.
export async function thumbnails(rows) {
  const missing = rows.filter((row) => !pictures.has(row) && !waiting.has(row));
  for (let start = 0; start < missing.length; start += BLOCK) {
    const part = missing.slice(start, start + BLOCK);
    const coming = fetchPart(part).finally(() => part.forEach((row) => waiting.delete(row)));
    part.forEach((row) => waiting.set(row, coming));
  }
  await Promise.all(rows.map((row) => waiting.get(row)));
}

async function fetchPart(rows) {
  const bytes = await get(`/thumbnails?rows=${rows.join(",")}`, "arrayBuffer");
  const lengths = new DataView(bytes);
  let at = 4 * rows.length;
  rows.forEach((row, index) => {
    const length = lengths.getUint32(4 * index, true);
    pictures.set(row, length ? URL.createObjectURL(new Blob([bytes.slice(at, at + length)], {type: "image/jpeg"})) : "");
    at += length;
  });
  forget();
}

function forget() {
  const seen = new Set([...cells.keys()].map((place) => crops.shown[place]));
  for (const [row, address] of pictures) {
    if (pictures.size <= KEPT) return;
    if (seen.has(row)) continue;
    URL.revokeObjectURL(address);
    pictures.delete(row);
  }
}
