// A score, taken apart: a dialog with every term, and what the list would be without the strongest ones.

import { post } from "./api.js";
import { el } from "./dom.js";
import { number, part, signed, t } from "./strings.js";
import { complain } from "./toast.js";

const SHOWN = 8;

// `asked` is what the list was asked for with.
export async function why(item, asked) {
  let told;
  try {
    told = await post("explain", { item: item.item_id, ...asked });
  } catch (error) {
    complain(error);
    return;
  }
  const dialog = el("dialog", { class: "sheet", "aria-labelledby": "why-title" },
    el("h2", { id: "why-title", tabindex: "-1", autofocus: true }, t("why_title", { title: item.title })),
    told.rank ? el("p", { class: "lead" }, t("why_rank", { rank: number(told.rank), items: number(told.items) })) : null,
    told.without.map((each) => el("p", {}, t(each.rank === told.rank ? "why_still" : "why_counterfactual", { title: each.title, rank: number(each.rank), now: number(told.rank) }))),
    el("p", { class: "dim" }, t("why_sum")),
    table(told, asked),
    told.history.length ? parts(told) : null,
    el("form", { method: "dialog" }, el("button", { class: "primary" }, t("close"))));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
}

function table(told, asked) {
  const terms = [...told.history].sort((one, other) => Math.abs(other.effect) - Math.abs(one.effect));
  const rest = terms.slice(SHOWN);
  const left = rest.reduce((sum, term) => sum + term.effect, 0);
  const row = (label, value, kind) => el("tr", { class: kind }, el("th", { scope: "row" }, label), el("td", {}, signed(value)));
  return el("table", { class: "terms" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("why_term")), el("th", { scope: "col" }, t("why_adds")))),
    el("tbody", {},
      terms.slice(0, SHOWN).map((term) => row(el("bdi", {}, term.kind === "disliked" ? t("why_disliked", { title: term.title }) : term.title), term.effect, term.kind)),
      rest.length ? row(t("why_rest", { n: number(rest.length) }), left, "dim") : null,
      told.wish ? row(t(asked.like ? "why_like" : "words_fit"), told.wish) : null,
      row(t("why_popularity"), told.popularity)),
    el("tfoot", {}, row(t("why_total"), told.score)));
}

// The same effects of the history once more, by what makes things alike; what was learned together stands beside.
function parts(told) {
  const blocks = told.blocks.length ? told.blocks : [{ name: "content", effect: told.content }];
  const all = [...blocks, { name: "correction", effect: told.correction }];
  const most = Math.max(...all.map((each) => Math.abs(each.effect)), 1e-9);
  return el("section", { class: "parts reasons" }, el("h3", {}, t("why_parts")),
    el("ul", {}, all.map((each) =>
      el("li", { class: each.effect < 0 ? "negative" : "", style: { "--share": (Math.abs(each.effect) / most).toFixed(3) } },
        el("span", { class: "name" }, part(each.name)), el("span", { class: "bar", "aria-hidden": "true" }), el("span", { class: "effect" }, signed(each.effect))))));
}
