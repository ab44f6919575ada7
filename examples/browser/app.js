// Ranks a catalogue with onnxruntime-web. The history stays in localStorage; nothing is ever sent.
import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";

const STORED = "sottovoce.history";
const TOP = 10;
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL("./node_modules/onnxruntime-web/dist/", import.meta.url).href;

const element = (id) => document.getElementById(id);
const stored = () => JSON.parse(localStorage.getItem(STORED) ?? "[]");
const store = (ids) => localStorage.setItem(STORED, JSON.stringify(ids));

const [session, catalogue] = await Promise.all([
  ort.InferenceSession.create("model.onnx"),
  fetch("catalogue.json").then((answer) => answer.json()),
]);
const position = new Map(catalogue.ids.map((id, place) => [id, place]));
const titled = new Map(catalogue.titles.map((title, place) => [title, place]));

/** Scores of all items for a history of catalogue positions, oldest first. */
async function scores(history) {
  const input = new ort.Tensor("int64", BigInt64Array.from(history, BigInt), [history.length]);
  return (await session.run({ history: input })).scores.data;
}

/** Positions of the best items that are not in the history; ties go to the earlier. */
function best(all, history) {
  const met = new Set(history);
  return [...all.keys()].filter((item) => !met.has(item)).sort((a, b) => all[b] - all[a] || a - b).slice(0, TOP);
}

function line(text, detail, label, act) {
  const item = document.createElement("li");
  const small = document.createElement("small");
  const button = document.createElement("button");
  small.textContent = ` ${detail} `;
  button.textContent = label;
  button.setAttribute("aria-label", `${label}: ${text}`);
  button.addEventListener("click", act);
  item.append(text, small, button);
  return item;
}

async function show() {
  const ids = stored().filter((id) => position.has(id));
  const history = ids.map((id) => position.get(id));
  const started = performance.now();
  const listed = best(await scores(history), history);
  element("state").textContent = `Ranked ${catalogue.ids.length} items in ${(performance.now() - started).toFixed(1)} ms.`;
  element("list").replaceChildren(...listed.map((item) =>
    line(catalogue.titles[item], catalogue.categories[item] ?? "", "Met it", () => meet(item))));
  element("met").replaceChildren(...history.map((item, place) =>
    line(catalogue.titles[item], "", "Forget", () => change(ids.toSpliced(place, 1)))));
}

const change = (ids) => { store(ids); return show(); };
const meet = (item) => change([...stored(), catalogue.ids[item]]);

element("titles").replaceChildren(...catalogue.titles.map((title) => new Option(title)));
element("forget").addEventListener("click", () => change([]));
element("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const item = titled.get(element("title").value);
  if (item !== undefined) meet(item);
  element("search").reset();
});
await show();
