// A box to look up something that the person knows, and to like it.

import { get } from "./api.js";
import { el } from "./dom.js";
import { give } from "./feedback.js";
import { t } from "./strings.js";
import { complain } from "./toast.js";

const WAIT_MS = 150;

export function lookup(changed) {
  const found = el("ul", { class: "found" });
  const told = el("p", { class: "dim", role: "status" });
  const input = el("input", { type: "search", id: "lookup", autocomplete: "off", maxlength: 200, placeholder: t("rate_placeholder"), dir: "auto" });
  let timer;
  let latest = 0;
  async function look() {
    const turn = ++latest;
    const text = input.value.trim();
    if (!text) { found.replaceChildren(); told.textContent = ""; return; }
    try {
      const { items } = await get("search", { text });
      if (turn !== latest) return;
      told.textContent = items.length ? "" : t("rate_none");
      found.replaceChildren(...items.map(row));
    } catch (error) {
      complain(error);
    }
  }
  const row = (item) => {
    const say = (kind) => async () => { if (await give(kind, item.item_id, item.title, changed)) look(); };
    return el("li", {}, el("span", {}, el("bdi", {}, item.title), item.year && !item.title.includes(item.year) ? ` · ${item.year}` : ""),
      el("span", { class: "row-acts" },
        el("button", { type: "button", "aria-label": `${t("like")}: ${item.title}`, onclick: say("like") }, t("like")),
        el("button", { type: "button", "aria-label": `${t("dislike")}: ${item.title}`, onclick: say("dislike") }, t("dislike"))));
  };
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(look, WAIT_MS); });
  return el("div", { class: "lookup" }, el("label", { for: "lookup" }, t("rate_label")), input, told, found);
}
