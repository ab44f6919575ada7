// The privacy view: what was spent, what left, what the server could see of it, and what stays.

import { get, post } from "./api.js";
import { el } from "./dom.js";
import { bytes, number, t, when } from "./strings.js";
import { complain, say } from "./toast.js";

export async function showPrivacy() {
  const view = el("section", { class: "privacy" });
  await draw(view);
  return view;
}

async function draw(view) {
  const privacy = await get("privacy");
  view.replaceChildren(
    el("h1", {}, t("privacy_title")),
    privacy.updates.length ? "" : never(privacy),
    el("div", { class: "panels" }, spent(privacy), seen(privacy), stays(privacy, view)),
    privacy.updates.length ? updates(privacy.updates) : "");
}

function never(privacy) {
  return el("div", { class: "panel calm" }, el("p", { class: "big" }, t("never")),
    el("p", {}, privacy.federation ? t("never_joined", { federation: privacy.federation }) : t("never_text")));
}

function spent(privacy) {
  const bounded = privacy.epsilon !== null;
  const text = t("spent_of", { spent: bounded ? number(privacy.epsilon, privacy.epsilon ? 2 : 0) : "∞", cap: number(privacy.cap, privacy.cap % 1 ? 1 : 0) });
  return el("section", { class: "panel" }, el("h2", {}, t("spent")), el("p", { class: "big" }, text),
    bounded && el("meter", { min: 0, max: privacy.cap, high: 0.9 * privacy.cap, optimum: 0, value: privacy.epsilon, "aria-label": t("spent") }, text),
    el("p", { class: "dim" }, t("spent_help", { delta: privacy.delta })));
}

function seen(privacy) {
  const lines = privacy.updates.length ? privacy.seen.map((what) => t(`see_${what}`)) : [t("see_none")];
  if (privacy.updates.length) lines.push(t("see_also"));
  return el("section", { class: "panel" }, el("h2", {}, t("could_see")), lines.map((line) => el("p", {}, line)));
}

function stays(privacy, view) {
  const clear = (what) => async () => {
    try {
      await post(`${what}/clear`);
      await draw(view);
      say(t("did_clear"));
    } catch (error) {
      complain(error);
    }
  };
  return el("section", { class: "panel" }, el("h2", {}, t("stays")),
    el("ul", {}, el("li", {}, t("stays_history", { n: number(privacy.history) })), el("li", {}, t("stays_impressions", { n: number(privacy.impressions) })),
      el("li", {}, t("stays_said", { n: number(privacy.sentences) })), el("li", {}, t("stays_words"))),
    el("div", { class: "row-acts" },
      privacy.impressions ? el("button", { type: "button", onclick: clear("impressions") }, t("clear_impressions")) : null,
      privacy.sentences ? el("button", { type: "button", onclick: clear("conversation") }, t("clear_said")) : null));
}

function updates(all) {
  const total = all.reduce((sum, update) => sum + update.bytes, 0);
  return el("section", {}, el("h2", {}, t("updates")), el("p", { class: "dim" }, t("updates_count", { n: number(all.length), size: bytes(total) })),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("updates") }, el("table", { class: "entries" },
      el("thead", {}, el("tr", {}, ["when", "release", "size", "hash"].map((name) => el("th", { scope: "col" }, t(name))))),
      el("tbody", {}, all.map((update) =>
        el("tr", {}, el("td", {}, when(update.at)), el("td", {}, update.release), el("td", {}, bytes(update.bytes)), el("td", { class: "mono" }, update.sha256 || t("forgotten"))))))));
}
