// The list: cards, the ask box, the kinds of list, the filter, and what a newcomer is told.

import { get, post } from "./api.js";
import { card } from "./card.js";
import { el } from "./dom.js";
import { give } from "./feedback.js";
import { lookup } from "./lookup.js";
import { category, number, t } from "./strings.js";
import { tellTexts } from "./texts.js";
import { complain } from "./toast.js";
import { why } from "./why.js";

const MODES = ["for_you", "varied", "gems"];
const PAGE = 12;
const wanted = { mode: "for_you", categories: [], text: "", weight: 0.7, item: null, n: PAGE };
const results = el("div", { class: "results" });
let known;
let latest = 0;

export async function showList(status) {
  known = status;
  if (!status.model.present) return noModel(status);
  const view = el("div", { class: "list" }, askBox(), controls(), results);
  await refresh();
  return view;
}

function noModel(status) {
  const broken = Boolean(status.model.problem);
  return el("section", { class: "state", role: broken ? "alert" : null },
    el("h1", {}, t(broken ? "broken_model" : "no_model")), el("p", {}, t(broken ? "broken_model_text" : "no_model_text")),
    broken ? el("p", { class: "dim mono" }, status.model.problem) : null);
}

function askBox() {
  const input = el("input", { type: "search", id: "ask", name: "text", autocomplete: "off", maxlength: 1000, placeholder: t("ask_placeholder"), value: wanted.text, dir: "auto", "aria-describedby": "ask-hint" });
  const weight = el("input", { type: "range", id: "weight", min: 0, max: 100, step: 5, value: Math.round(wanted.weight * 100) });
  weight.addEventListener("change", () => { wanted.weight = weight.value / 100; if (wanted.text) refresh(); });
  const form = el("form", { class: "ask", role: "search" },
    el("label", { for: "ask" }, t("ask_label")),
    el("div", { class: "line" }, input, el("button", { class: "primary" }, t("ask_button"))),
    el("div", { class: "slider" },
      el("span", { "aria-hidden": "true" }, t("ask_taste")), el("label", { for: "weight", class: "visually-hidden" }, t("ask_weight")), weight,
      el("span", { "aria-hidden": "true" }, t("ask_words"))),
    el("p", { class: "dim", id: "ask-hint" }, t(known.wishes === "encoder" ? "ask_hint_encoder" : "ask_hint_keywords")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    Object.assign(wanted, { text: input.value.trim(), weight: weight.value / 100, item: null, n: PAGE });
    refresh();
  });
  input.addEventListener("search", () => { if (!input.value && wanted.text) { wanted.text = ""; refresh(); } });
  return form;
}

function controls() {
  const modes = el("fieldset", { class: "modes" }, el("legend", { class: "visually-hidden" }, t("lists")),
    MODES.map((mode) => {
      const radio = el("input", { type: "radio", name: "mode", id: `mode-${mode}`, value: mode, checked: wanted.mode === mode });
      radio.addEventListener("change", () => { Object.assign(wanted, { mode, n: PAGE }); refresh(); });
      return [radio, el("label", { for: `mode-${mode}` }, t(`mode_${mode}`))];
    }));
  return el("div", { class: "controls" }, modes, known.categories.length ? filter() : null);
}

function filter() {
  const summary = el("summary", {});
  const tell = () => { summary.textContent = wanted.categories.length ? `${t("filter")}: ${t("filter_count", { n: wanted.categories.length })}` : t("filter_all"); };
  const boxes = known.categories.map((name, index) => {
    const box = el("input", { type: "checkbox", id: `category-${index}`, checked: wanted.categories.includes(name) });
    box.addEventListener("change", () => {
      wanted.categories = box.checked ? [...wanted.categories, name] : wanted.categories.filter((each) => each !== name);
      wanted.n = PAGE;
      tell();
      refresh();
    });
    return el("span", { class: "tick" }, box, el("label", { for: `category-${index}` }, category(name)));
  });
  const clear = el("button", { type: "button", class: "quiet", onclick: () => {
    wanted.categories = [];
    for (const box of details.querySelectorAll("input")) box.checked = false;
    tell();
    refresh();
  } }, t("filter_clear"));
  tell();
  const details = el("details", { class: "filter" }, summary, el("div", { class: "ticks" }, boxes, clear));
  return details;
}

async function fetchList() {
  const { mode, categories, n, text, weight, item } = wanted;
  if (text) return post("ask", { text, weight, n, mode, categories });
  return get("list", { mode, n, category: categories, like: item?.item_id });
}

// Redraws the list; an answer that was overtaken by a later question is dropped.
async function refresh(focusPlace) {
  const turn = ++latest;
  results.setAttribute("aria-busy", "true");
  tellAsk(wanted.text ? t("loading") : t("ask_button"));
  try {
    const answer = await fetchList();
    if (turn !== latest) return;
    draw(answer);
    if (focusPlace) (results.querySelector(`#card-${focusPlace}`) ?? results.querySelector("h1"))?.focus();
  } catch (error) {
    if (turn !== latest) return;
    if (wanted.text) wanted.text = "";
    complain(error);
    if (!results.childElementCount) throw error;
  } finally {
    if (turn === latest) {
      results.removeAttribute("aria-busy");
      tellAsk(t("ask_button"));
    }
  }
}

// The first wish starts the encoder, which takes a moment.
function tellAsk(text) {
  const button = document.querySelector(".ask button");
  if (button) button.textContent = text;
}

const acts = {
  anchored: () => wanted.item !== null,
  give: (kind, subject, title) => {
    const place = document.activeElement?.closest(".card")?.querySelector("h2")?.id.replace("card-", "");
    return give(kind, subject, title, () => refresh(place));
  },
  like: (item) => { Object.assign(wanted, { item, text: "", n: PAGE }); refresh(1); window.scrollTo({ top: 0 }); },
  why: (item) => why(item, { text: wanted.text, weight: wanted.weight, like: wanted.item?.item_id ?? "" }),
};

function draw(answer) {
  const strongest = Math.max(0, ...answer.cards.flatMap((each) => [...each.reasons.map((reason) => Math.abs(reason.effect)), Math.abs(each.popularity), Math.abs(each.wish)]));
  const cards = answer.cards.map((each, index) => card(each, index + 1, strongest, acts));
  results.replaceChildren(
    heading(answer),
    cards.length ? el("ol", { class: "cards" }, cards) : el("p", { class: "state" }, t(wanted.text ? "asked_nothing" : "list_empty")),
    cards.length === wanted.n && wanted.n < 96
      ? el("p", { class: "end" }, el("button", { type: "button", onclick: () => { const next = wanted.n + 1; wanted.n += PAGE; refresh(next); } }, t("more")))
      : "");
  tellTexts(results);
}

function heading(answer) {
  const back = el("button", { type: "button", class: "quiet back", onclick: () => {
    Object.assign(wanted, { text: "", item: null, n: PAGE });
    const input = document.getElementById("ask");
    if (input) input.value = "";
    refresh();
  } }, t("ask_clear"));
  if (answer.basis === "wish" || answer.basis === "keywords") {
    return el("header", { class: "head" },
      el("h1", { tabindex: "-1" }, el("bdi", {}, t(answer.basis === "wish" ? "asked" : "asked_keywords", { text: wanted.text }))), back,
      answer.masked ? el("p", { class: "dim masked" }, t("ask_masked")) : null);
  }
  if (answer.basis === "item") return el("header", { class: "head" }, el("h1", { tabindex: "-1" }, t("more_title", { title: wanted.item.title })), back);
  if (answer.basis === "popularity") return newcomer();
  const n = answer.history;
  const from = n > 1 ? "list_from" : n === 1 ? "list_from_one" : "list_from_dislikes";
  return el("header", { class: "head" }, el("h1", { tabindex: "-1" }, t("list_title")),
    el("p", { class: "dim" }, t(from, { n: number(n) })));
}

function newcomer() {
  return el("header", { class: "head" },
    el("section", { class: "welcome" }, el("h1", { tabindex: "-1" }, t("empty_title")), el("p", {}, t("empty_text")), lookup(() => refresh())),
    el("h2", { class: "sub" }, t("popular_title")));
}
