// One line at the foot of the page: what just happened, and the way back.

import { el } from "./dom.js";
import { failure, t } from "./strings.js";

const SHOWN_MS = 12_000;
const place = document.getElementById("toast");
let timer;

export function say(text, undo) {
  clearTimeout(timer);
  const button = undo && el("button", { type: "button", class: "undo", onclick: () => { hide(); undo(); } }, t("undo"));
  place.replaceChildren(el("p", {}, text), button ?? "");
  place.classList.add("shown");
  timer = setTimeout(hide, SHOWN_MS);
}

export function complain(error) {
  say(failure(error));
  place.classList.add("bad");
}

function hide() {
  clearTimeout(timer);
  place.classList.remove("shown", "bad");
  place.replaceChildren();
}

window.addEventListener("hashchange", hide);
place.addEventListener("mouseenter", () => clearTimeout(timer));
place.addEventListener("focusin", () => clearTimeout(timer));
