// What a model writes: asked for after the page is there, and filled in as it comes. A template says nothing that the page
// does not: only what a model wrote or chose is shown, and marked.

import { get } from "./api.js";
import { el } from "./dom.js";
import { t } from "./strings.js";

const POLL_MS = 1500;
const TIMES = 40;
let writes = false;

// Whether there is a model at all: where not, nothing is asked.
export function setWriting(there) {
  writes = there;
}

export async function tellTexts(list) {
  await follow(list, async () => {
    const open = [...list.querySelectorAll(".card:not([data-told])")];
    if (open.length === 0) return true;
    const { texts } = await get("text", { item: open.map((each) => each.dataset.item) });
    for (const each of open) {
      if (texts[each.dataset.item].done) each.dataset.told = "";
      fill(each.querySelector("header"), texts[each.dataset.item]);
    }
    return false;
  });
}

export async function tellTaste(place) {
  await follow(place, async () => {
    const { taste } = await get("text", { taste: true });
    fill(place, taste);
    return taste.done;
  });
}

export async function tellDigest(menu, item) {
  if ("told" in menu.dataset) return;
  menu.dataset.told = "";
  await follow(menu, async () => {
    const { digest } = await get("text", { digest: item });
    fill(menu, digest, "prepend", "chosen_by_model");
    return digest.done;
  });
}

// Asks until a text is whole, or its place is gone.
async function follow(place, ask) {
  for (let turn = 0; writes && turn < TIMES && (turn === 0 || place.isConnected); turn += 1) {
    if (await ask().catch(() => true)) return;
    await new Promise((resolve) => { setTimeout(resolve, POLL_MS); });
  }
}

function fill(place, text, how = "append", mark = "by_model") {
  if (!text.by_model) return;
  if (!place.querySelector(".told")) place[how](el("p", { class: "told" }));
  place.querySelector(".told").replaceChildren(el("span", {}, text.text), " ", el("small", { class: "dim" }, t(mark)));
}
