// One recommendation: what it is, why it is there, and what to do with it.

import { el, hue, icon } from "./dom.js";
import { because, category, percent, signed, t } from "./strings.js";
import { tellDigest } from "./texts.js";

// `acts` has give(kind, subject, title), like(card), why(card).
export function card(item, place, strongest, acts) {
  const id = `card-${place}`;
  return el("li", { class: "card", style: { "--hue": hue(item.categories[0]) }, "data-item": item.item_id },
    el("article", { "aria-labelledby": id },
      el("header", {},
        el("span", { class: "place", "aria-hidden": "true" }, String(place)),
        el("div", { class: "what" },
          el("h2", { id, tabindex: "-1" }, el("bdi", {}, withoutYear(item))),
          el("p", { class: "meta" },
            item.year && el("span", { class: "year" }, item.year),
            item.categories.map((name) => el("span", { class: "chip" }, category(name)))))),
      el("p", { class: "score" },
        el("span", { class: "label" }, t("score")), " ",
        el("strong", {}, signed(item.score).replace(/^\+/, "")), " ",
        item.probability !== null && el("span", { class: "share" }, el("span", { class: "label" }, t("likely")), percent(item.probability))),
      reasons(item, strongest, acts),
      el("div", { class: "acts" },
        act("like", "like", () => acts.give("like", item.item_id, item.title), item),
        act("dislike", "dislike", () => acts.give("dislike", item.item_id, item.title), item),
        act("not_now", "later", () => acts.give("not_now", item.item_id, item.title), item),
        more(item, acts))));
}

// The year stands below the title: not twice.
const withoutYear = (item) => (item.year && item.title.endsWith(` (${item.year})`) ? item.title.slice(0, -item.year.length - 3) : item.title);

function reasons(item, strongest, acts) {
  const asked = item.wish ? [line(t(acts.anchored() ? "why_like" : "words_fit"), item.wish, strongest, "wish")] : [];
  const lines = item.reasons.map((reason) => line(el("bdi", {}, reason.title), reason.effect, strongest));
  if (item.popularity !== 0) lines.push(line(t(item.popularity > 0 ? "popular" : "unpopular"), item.popularity, strongest, "popularity"));
  if (asked.length + lines.length === 0) return el("p", { class: "reasons none" }, t("no_reasons"));
  return el("div", { class: "reasons" },
    asked.length ? el("ul", {}, asked) : null, // above "because you watched": words are not history
    item.reasons.length ? el("p", { class: "label" }, because()) : null,
    lines.length ? el("ul", {}, lines) : null);
}

function line(label, effect, strongest, kind = "") {
  const share = Math.min(1, Math.abs(effect) / (strongest || 1));
  return el("li", { class: `${kind} ${effect < 0 ? "negative" : ""}`, style: { "--share": share.toFixed(3) } },
    el("span", { class: "name" }, label), el("span", { class: "bar", "aria-hidden": "true" }), el("span", { class: "effect" }, signed(effect)));
}

function act(text, glyph, onclick, item) {
  return el("button", { type: "button", class: `act ${text}`, onclick, "aria-label": `${t(text)}: ${item.title}` }, icon(glyph), el("span", {}, t(text)));
}

function more(item, acts) {
  const menu = el("details", { class: "more" },
    el("summary", { "aria-label": t("actions", { title: item.title }) }, t("actions_short")),
    el("div", { class: "menu" },
      el("button", { type: "button", class: "record", onclick: () => acts.give("interaction", item.item_id, item.title) }, t("record")),
      el("button", { type: "button", class: "why", onclick: () => acts.why(item) }, t("why")),
      el("button", { type: "button", class: "similar", onclick: () => acts.like(item) }, t("more_like")),
      item.categories.map((name) =>
        el("button", { type: "button", class: "hide", onclick: () => acts.give("hide_category", name, name) }, t("hide", { category: category(name) })))));
  menu.addEventListener("toggle", () => { if (menu.open) tellDigest(menu.querySelector(".menu"), item.item_id); });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  menu.addEventListener("focusout", (event) => { if (!menu.contains(event.relatedTarget)) menu.open = false; });
  return menu;
}
