// What this machine knows of the person, entry by entry, and how to make it forget.

import { get, post } from "./api.js";
import { el } from "./dom.js";
import { lookup } from "./lookup.js";
import { entry as nameOf, number, t, when } from "./strings.js";
import { complain, say } from "./toast.js";

const PAGE = 50;
let offset = 0;

export async function showHistory(status) {
  offset = 0;
  const rows = el("div", { class: "rows" });
  const view = el("section", { class: "history" }, el("h1", {}, t("history_title")),
    status.model.present ? el("div", { class: "panel" }, lookup(() => draw(rows))) : null, rows);
  await draw(rows);
  return view;
}

async function draw(rows) {
  let page = await get("history", { offset, limit: PAGE });
  if (!page.entries.length && offset) {
    offset = 0;
    page = await get("history", { offset, limit: PAGE });
  }
  if (!page.total) {
    rows.replaceChildren(el("p", { class: "state" }, t("history_empty")));
    return;
  }
  rows.replaceChildren(
    el("div", { class: "line" }, el("p", { class: "lead" }, t("history_count", { n: number(page.total) })),
      el("span", { class: "row-acts" },
        el("button", { type: "button", onclick: saveCopy }, t("export")),
        el("button", { type: "button", class: "danger", onclick: () => forgetAll(rows) }, t("forget_all")))),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("history_title") }, el("table", { class: "entries" },
      el("thead", {}, el("tr", {}, ["what", "kind", "when"].map((name) => el("th", { scope: "col" }, t(name))), el("th", { scope: "col" }, el("span", { class: "visually-hidden" }, t("forget"))))),
      el("tbody", {}, page.entries.map((entry) => row(entry, rows))))),
    pager(page, rows));
}

function row(entry, rows) {
  const title = nameOf(entry);
  return el("tr", {}, el("th", { scope: "row" }, el("bdi", {}, title)), el("td", {}, el("span", { class: `tag ${entry.kind}` }, t(`kind_${entry.kind}`))),
    el("td", { class: "dim" }, when(entry.at)),
    el("td", { class: "right" }, el("button", { type: "button", class: "quiet", "aria-label": t("forget_item", { title }), onclick: () => forget(entry, title, rows) }, t("forget"))));
}

async function forget(entry, title, rows) {
  try {
    await post("forget", { subject: entry.subject });
    await draw(rows);
    say(t("did_forget", { title }));
  } catch (error) {
    complain(error);
  }
}

function forgetAll(rows) {
  const dialog = el("dialog", { class: "sheet", "aria-labelledby": "forget-title" },
    el("h2", { id: "forget-title" }, t("forget_sure")), el("p", {}, t("forget_text")),
    el("form", { method: "dialog", class: "row-acts" },
      el("button", { value: "no", autofocus: true }, t("cancel")), el("button", { value: "yes", class: "danger" }, t("forget_all"))));
  dialog.addEventListener("close", async () => {
    dialog.remove();
    if (dialog.returnValue !== "yes") return;
    try {
      await post("forget", { everything: true });
      await draw(rows);
      say(t("did_forget_all"));
    } catch (error) {
      complain(error);
    }
  });
  document.body.append(dialog);
  dialog.showModal();
}

function pager(page, rows) {
  if (page.total <= PAGE) return "";
  const go = (by) => () => { offset = Math.max(0, offset + by); draw(rows).catch(complain); };
  return el("div", { class: "pager" },
    el("button", { type: "button", disabled: offset === 0, onclick: go(-PAGE) }, t("history_newer")),
    el("span", { class: "dim" }, t("history_range", { from: number(offset + 1), to: number(offset + page.entries.length), n: number(page.total) })),
    el("button", { type: "button", disabled: offset + page.entries.length >= page.total, onclick: go(PAGE) }, t("history_older")));
}

async function saveCopy() {
  try {
    const address = URL.createObjectURL(new Blob([JSON.stringify(await get("export"), null, 1)], { type: "application/json" }));
    el("a", { href: address, download: "sottovoce-history.json" }).click();
    URL.revokeObjectURL(address);
  } catch (error) {
    complain(error);
  }
}
