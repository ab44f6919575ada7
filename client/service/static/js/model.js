// The model card, and the facts that the manifest states. Markdown is laid out from a few forms; nothing is read as HTML.

import { get } from "./api.js";
import { el } from "./dom.js";
import { number, t } from "./strings.js";

export async function showModel() {
  const model = await get("model");
  if (!model.present) {
    return el("section", { class: "state" }, el("h1", {}, t(model.problem ? "broken_model" : "no_model")),
      el("p", {}, t(model.problem ? "broken_model_text" : "no_model_text")), model.problem ? el("p", { class: "dim mono" }, model.problem) : null);
  }
  const privacy = model.privacy;
  const facts = [
    ["model_items", number(model.items)],
    ["model_version", model.version ? number(model.version) : "–"],
    ["model_federation", model.federation || "–"],
    ["model_signature", t(model.signed ? "model_signed" : "model_unsigned")],
    ["model_privacy", privacy.epsilon === null || privacy.epsilon === undefined ? t("model_no_dp") : t("model_eps", { epsilon: number(privacy.epsilon, 2), delta: privacy.delta })],
    ["model_encoder", model.wishes || t("model_encoder_none")],
    ["model_digest", el("span", { class: "mono" }, model.digest)],
  ];
  return el("section", { class: "model" }, el("h1", {}, t("model_title")),
    el("div", { class: "panel" }, el("h2", {}, t("model_facts")), el("dl", {}, facts.flatMap(([name, value]) => [el("dt", {}, t(name)), el("dd", {}, value)]))),
    el("article", { class: "panel prose", lang: "en" }, markdown(model.card)));
}

function markdown(text) {
  const blocks = [];
  let list = null;
  for (const line of text.split("\n")) {
    const heading = line.match(/^(#{1,4}) (.*)/);
    const point = line.match(/^[-*] (.*)/);
    if (!point) list = null;
    if (heading) blocks.push(el(`h${Math.min(heading[1].length + 1, 6)}`, {}, inline(heading[2])));
    else if (point) {
      if (!list) blocks.push((list = el("ul", {})));
      list.append(el("li", {}, inline(point[1])));
    } else if (line.trim()) blocks.push(el("p", {}, inline(line)));
  }
  return blocks;
}

function inline(text) {
  return text.split(/(\*\*[^*]+\*\*|`[^`]+`)/).map((part) => {
    if (part.startsWith("**")) return el("strong", {}, part.slice(2, -2));
    return part.startsWith("`") ? el("code", {}, part.slice(1, -1)) : part;
  });
}
