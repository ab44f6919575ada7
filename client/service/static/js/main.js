// Where the page begins: which section is shown, in which language and colours, and what is new.

import { get } from "./api.js";
import { el, icon } from "./dom.js";
import { showHistory } from "./history.js";
import { showList } from "./list.js";
import { showModel } from "./model.js";
import { showPrivacy } from "./privacy.js";
import { currentLanguage, failure, setLanguage, setWording, showsChinese, t } from "./strings.js";
import { showTalk } from "./talk.js";
import { showTaste } from "./taste.js";
import { setWriting } from "./texts.js";

const SECTIONS = { "": showList, talk: showTalk, taste: showTaste, history: showHistory, privacy: showPrivacy, model: showModel };
const THEMES = ["auto", "light", "dark"];
const POLL_MS = 30_000;
const main = document.getElementById("main");
const notice = document.getElementById("notice");
let shown = null;

const section = () => location.hash.replace(/^#\/?/, "").split("?")[0];

async function show(moveFocus = true) {
  const name = section() in SECTIONS ? section() : "";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.querySelector("nav a[aria-current]").scrollIntoView({ block: "nearest", inline: "center" });
  main.setAttribute("aria-busy", "true");
  try {
    const status = await get("status");
    setWording(status);
    setWriting(status.writes);
    shown ??= status.model.digest;
    const view = await SECTIONS[name](status);
    if (name !== (section() in SECTIONS ? section() : "")) return; // another section was chosen meanwhile
    main.replaceChildren(view);
    const heading = main.querySelector("h1");
    document.title = heading && name ? `${heading.textContent} · Sottovoce` : "Sottovoce";
    if (moveFocus) {
      main.focus({ preventScroll: true });
      window.scrollTo({ top: 0, behavior: "instant" });
    }
  } catch (error) {
    main.replaceChildren(
      el("section", { class: "state", role: "alert" }, el("p", {}, failure(error)),
        el("button", { type: "button", onclick: () => show() }, t("retry"))));
  } finally {
    main.removeAttribute("aria-busy");
  }
}

function translate() {
  document.documentElement.lang = currentLanguage() === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", t(element.dataset.label));
  const button = document.getElementById("language");
  button.textContent = currentLanguage() === "zh" || showsChinese() ? t("language") : "Chinese";
  button.lang = currentLanguage() === "zh" ? "en" : "zh-CN";
  button.setAttribute("aria-label", t("language_label"));
  paint();
}

function paint() {
  const theme = localStorage.getItem("theme") ?? "auto";
  document.documentElement.dataset.theme = theme;
  const button = document.getElementById("theme");
  button.replaceChildren(icon({ auto: "auto", light: "sun", dark: "moon" }[theme]));
  button.setAttribute("aria-label", t(`theme_${theme}`));
  button.title = t(`theme_${theme}`);
}

document.getElementById("language").addEventListener("click", () => {
  setLanguage(currentLanguage() === "zh" ? "en" : "zh");
  translate();
  show(false);
});

document.getElementById("theme").addEventListener("click", () => {
  const theme = localStorage.getItem("theme") ?? "auto";
  localStorage.setItem("theme", THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]);
  paint();
});

async function lookForNewModel() {
  if (document.hidden || shown === null) return;
  const status = await get("status").catch(() => null);
  if (status === null || status.model.digest === shown) return;
  shown = status.model.digest;
  const reload = el("button", { type: "button", onclick: () => { notice.replaceChildren(); show(); } }, t("model_reload"));
  notice.replaceChildren(el("p", { class: "banner" }, t("model_new"), " ", reload));
}

window.addEventListener("hashchange", () => show());
document.addEventListener("visibilitychange", lookForNewModel);
setInterval(lookForNewModel, POLL_MS);
translate();
show(false);
