// One person beside the grid: the chosen crop, how it came about, and the person's other crops in groups.

import {crops, current, go, value, word} from "./crops.js";
import {picture, thumbnails} from "./grid.js";
import {element, get, post, telling, toast} from "./http.js";
import {history} from "./review.js";

const panel = document.getElementById("panel");
let row = -1;

export const isOpen = () => row >= 0;

export function close() {
  row = -1;
  panel.hidden = true;
}

export async function show(asked) {
  if (asked < 0 || asked === row) return;
  row = asked;
  const known = await get(`/person/${asked}`);
  await thumbnails(known.groups.flatMap((group) => group.rows));
  if (row !== asked) return; // another was chosen meanwhile
  panel.hidden = false;
  panel.scrollTop = 0;
  panel.replaceChildren(
    element("div", {className: "bar"},
      element("h2", {}, `Person ${value("pid", row)}`),
      element("button", {onclick: close, ariaLabel: "Close"}, "×")),
    element("div", {className: "one"},
      element("img", {src: `/picture/${row}`, alt: "the chosen crop", id: "whole"}),
      element("div", {}, element("p", {}, known.words), ...history(row).map((said) => element("p", {className: "soft"}, said)), again(known))),
    ...known.groups.map((group) => groupOf(group)),
    element("details", {},
      element("summary", {}, "All that the table says"),
      element("dl", {}, known.facts.flatMap(([name, said]) => [element("dt", {}, name), element("dd", {}, said)]))),
  );
}

// When the chosen crop changes while the panel is open.
export const follow = () => { if (isOpen() && current() >= 0) telling(() => show(current())); };

function groupOf({title, rows}) {
  const cells = rows.map((one) => element("figure", {
    className: `small${one === row ? " chosen" : ""}`, "data-row": one, onclick: () => to(one), title: word("made", one),
  }, picture(one, 96), element("figcaption", {}, caption(one))));
  return element("div", {className: "group"}, element("h3", {}, `${title} (${rows.length})`), element("div", {className: "cells"}, cells));
}

const caption = (one) => {
  const rejected = word("filters", one) !== "not filtered" && word("filters", one) !== "kept by all filters";
  return `c${value("camid", one)}${rejected ? ` ✕ ${word("filters", one)}` : ""}`;
};

function to(one) {
  const at = crops.shown.indexOf(one);
  if (at >= 0) go(at);
  telling(() => show(one));
}

function again(known) {
  if (!known.program) return null;
  const place = element("div", {});
  const make = element("button", {onclick: async () => {
    make.disabled = true;
    const asked = row;
    const made = await telling(() => post(`/again/${asked}`));
    make.disabled = false;
    if (!made) return;
    const told = made.same ? "the same file, byte for byte" : `as it was before JPEG; a pixel of the file differs by ${made.difference} of 255 at most`;
    place.replaceChildren(element("img", {src: made.picture, alt: "the crop made again", id: "again"}), element("p", {className: "soft"}, told));
  }}, "Make it again");
  const copy = element("button", {onclick: () => navigator.clipboard.writeText(known.program).then(() => toast("Copied."), () => toast("The browser does not let this page copy."))}, "Copy");
  const program = element("details", {}, element("summary", {}, "The program that makes it again"), element("pre", {}, known.program), copy);
  return element("div", {}, make, place, program);
}
