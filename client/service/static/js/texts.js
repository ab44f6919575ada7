// What a model writes for cards: asked for after the list is there, and filled in as it comes.

import { get } from "./api.js";
import { el } from "./dom.js";
import { t } from "./strings.js";

const POLL_MS = 1500;
const TIMES = 40;

export async function tellTexts(list) {
  for (let turn = 0; turn < TIMES && (turn === 0 || list.isConnected); turn += 1) {
    const open = [...list.querySelectorAll(".card:not([data-told])")];
    if (open.length === 0) return;
    const { texts } = await get("text", { item: open.map((each) => each.dataset.item) }).catch(() => ({ texts: null }));
    if (texts === null) return;
    for (const each of open) fill(each, texts[each.dataset.item]);
    await new Promise((resolve) => { setTimeout(resolve, POLL_MS); });
  }
}

// A template says nothing that the card does not: only what a model wrote is shown, and marked.
function fill(card, text) {
  if (!text) return;
  if (text.done) card.dataset.told = "";
  if (!text.by_model) return;
  const place = card.querySelector(".told") ?? card.querySelector("header").appendChild(el("p", { class: "told" }));
  place.replaceChildren(el("span", {}, text.text), " ", el("small", { class: "dim" }, t("by_model")));
}
