// A score, taken apart: a dialog with every term, and what the list would be without the strongest ones.

import { post } from "./api.js";
import { el } from "./dom.js";
import { number, signed, t } from "./strings.js";
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
    el("h2", { id: "why-title" }, t("why_title", { title: item.title })),
    told.rank ? el("p", { class: "lead" }, t("why_rank", { rank: number(told.rank), items: number(told.items) })) : null,
    told.without.map((each) => el("p", {}, t(each.rank === told.rank ? "why_still" : "why_counterfactual", { title: each.title, rank: number(each.rank), now: number(told.rank) }))),
    el("p", { class: "dim" }, t("why_sum")),
    table(told, asked),
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
      terms.slice(0, SHOWN).map((term) => row(el("bdi", {}, term.title), term.effect)),
      rest.length ? row(t("why_rest", { n: number(rest.length) }), left, "dim") : null,
      told.wish ? row(t(asked.like ? "why_like" : "words_fit"), told.wish) : null,
      row(t("why_popularity"), told.popularity)),
    el("tfoot", {}, row(t("why_total"), told.score)));
}
