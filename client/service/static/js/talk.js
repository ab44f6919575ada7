// The conversation: each sentence refines what is asked for, which stands as chips that can be taken away.

import { post } from "./api.js";
import { card } from "./card.js";
import { el } from "./dom.js";
import { give } from "./feedback.js";
import { currentLanguage, t } from "./strings.js";
import { tellTexts } from "./texts.js";
import { complain } from "./toast.js";
import { why } from "./why.js";

const N = 12;
const turn = el("div", { class: "turn" });

export async function showTalk() {
  const input = el("input", { type: "text", id: "sentence", name: "sentence", autocomplete: "off", maxlength: 1000, placeholder: t("talk_placeholder"), dir: "auto", "aria-describedby": "talk-hint" });
  const form = el("form", { class: "ask" },
    el("label", { for: "sentence" }, t("talk_label")),
    el("div", { class: "line" }, input, el("button", { class: "primary" }, t("talk_button"))),
    el("p", { class: "dim", id: "talk-hint" }, t("talk_hint")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value.trim()) say("say", { sentence: input.value.trim(), n: N }).then((heard) => { if (heard) input.value = ""; });
  });
  draw(await post("unsay", { n: N, chinese: chinese() }));
  return el("div", { class: "list talk" }, el("h1", { tabindex: "-1" }, t("nav_talk")), form, turn);
}

const chinese = () => currentLanguage() === "zh";

async function say(path, body) {
  turn.setAttribute("aria-busy", "true");
  try {
    draw(await post(path, body));
    return true;
  } catch (error) {
    complain(error);
    return false;
  } finally {
    turn.removeAttribute("aria-busy");
  }
}

const again = () => say("unsay", { n: N, chinese: chinese() });

const acts = {
  anchored: () => false,
  give: (kind, subject, title) => give(kind, subject, title, again),
  like: (item) => say("say", { like: item.item_id, n: N, chinese: chinese() }),
  why: (item) => why(item, { talk: true }),
};

function draw({ listing, answer, chips }) {
  const strongest = Math.max(0, ...listing.cards.flatMap((each) => [...each.reasons.map((reason) => Math.abs(reason.effect)), Math.abs(each.popularity), Math.abs(each.wish)]));
  const list = el("ol", { class: "cards" }, listing.cards.map((each, index) => card(each, index + 1, strongest, acts)));
  turn.replaceChildren(
    chips.length ? el("ul", { class: "asked-for", "aria-label": t("talk_chips") }, chips.map(chip)) : "",
    el("p", { class: "answer", role: "status" }, answer),
    listing.cards.length ? list : "");
  tellTexts(list);
}

function chip(each) {
  const remove = () => say("unsay", { place: each.place, n: N, chinese: chinese() });
  return el("li", {}, el("button", { type: "button", class: "chip", onclick: remove, "aria-label": t("talk_remove", { label: each.label }) },
    el("bdi", {}, each.label), el("span", { "aria-hidden": "true" }, " ×")));
}
