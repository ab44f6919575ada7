// The taste profile: an SVG chart with a table beside it, keywords, and what is hidden.

import { get, post } from "./api.js";
import { el, svg } from "./dom.js";
import { category, percent, t } from "./strings.js";
import { tellTaste } from "./texts.js";
import { complain, say } from "./toast.js";

const ROW = 30;
const WIDEST = 640;

export async function showTaste(status) {
  if (!status.model.present) return el("section", { class: "state" }, el("h1", {}, t("taste_title")), el("p", {}, t("no_model")));
  const view = el("section", { class: "taste" });
  await draw(view);
  return view;
}

async function draw(view) {
  const profile = await get("profile");
  const empty = profile.history === 0;
  const summary = el("div", { class: "summary" });
  view.replaceChildren(
    el("h1", {}, t("taste_title")), summary,
    el("p", { class: "lead" }, t(empty ? "taste_empty" : "taste_text")),
    profile.shares.length ? el("figure", { class: "panel chart" }, chart(profile.shares), table(profile.shares)) : el("p", {}, t("taste_none")),
    profile.keywords.length
      ? el("section", {}, el("h2", {}, t("taste_keywords")), el("ul", { class: "chips" }, profile.keywords.map((word) => el("li", { class: "chip" }, el("bdi", {}, word)))))
      : "",
    profile.hidden.length
      ? el("section", {}, el("h2", {}, t("taste_hidden")), el("ul", { class: "chips" }, profile.hidden.map((name) =>
          el("li", {}, el("button", { type: "button", onclick: () => showAgain(name, view) }, t("show_again", { category: category(name) }))))))
      : "");
  tellTaste(summary);
}

async function showAgain(name, view) {
  try {
    await post("forget", { subject: name });
    await draw(view);
    say(t("did_shown", { category: category(name) }));
  } catch (error) {
    complain(error);
  }
}

// Below a thousandth nobody can see a difference.
const few = (share) => (share < 0.001 ? `< ${percent(0.001)}` : percent(share));

// How much room a name takes as the chart writes it.
function widthOf(name) {
  const text = svg("text", { class: "name" }, name);
  const probe = svg("svg", { class: "bars", style: { position: "absolute", visibility: "hidden" } }, text);
  document.body.append(probe);
  const width = text.getComputedTextLength();
  probe.remove();
  return Math.ceil(width);
}

function chart(shares) {
  const most = Math.max(...shares.map((share) => Math.max(share.probability, share.everybody)), 1e-9);
  const width = Math.min(WIDEST, document.documentElement.clientWidth - 76); // letters keep their size on a phone
  const left = 10 + Math.max(...shares.map((share) => widthOf(category(share.category))));
  const room = width - left - 70;
  const rows = shares.map((share, index) => {
    const y = index * ROW;
    const length = (share.probability / most) * room;
    const mark = left + (share.everybody / most) * room;
    return svg("g", { class: "row" },
      svg("text", { class: "name", x: left - 10, y: y + 19, "text-anchor": "end" }, category(share.category)),
      svg("rect", { class: "share", x: left, y: y + 6, width: Math.max(length, 1), height: ROW - 12, rx: 4 }),
      svg("line", { class: "everybody", x1: mark, x2: mark, y1: y + 2, y2: y + ROW - 2 }),
      svg("text", { class: "value", x: width - 4, y: y + 19, "text-anchor": "end" }, few(share.probability)));
  });
  const told = shares.slice(0, 5).map((share) => `${category(share.category)} ${percent(share.probability)}`).join(", ");
  return svg("svg", { class: "bars", viewBox: `0 0 ${width} ${shares.length * ROW}`, role: "img", "aria-labelledby": "chart-title chart-told" },
    svg("title", { id: "chart-title" }, t("taste_chart")), svg("desc", { id: "chart-told" }, told), rows);
}

function table(shares) {
  return el("details", {}, el("summary", {}, t("taste_table")),
    el("table", {},
      el("thead", {}, el("tr", {}, ["category", "you", "everybody"].map((name) => el("th", { scope: "col" }, t(name))))),
      el("tbody", {}, shares.map((share) =>
        el("tr", {}, el("th", { scope: "row" }, category(share.category)), el("td", {}, few(share.probability)), el("td", {}, few(share.everybody)))))));
}
