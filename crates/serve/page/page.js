// The page: live translation, and each word's path through strata and experts. No libraries; it talks to this server only.
"use strict";

const $ = (id) => document.getElementById(id);
const RIGHT_TO_LEFT = new Set(["ar", "arb", "arz", "azb", "ckb", "dv", "fa", "fas", "pes", "prs", "he", "heb", "iw", "ks", "ku_arab", "ps", "sd", "ug", "ur", "urd", "yi"]);
const WAIT_MS = 250; // after the last keystroke
const LEVELS = 5; // colors

const state = {
  languages: [], from: "auto", to: "", limit: 0, formats: [],
  route: null, // the last answer of /v1/route
  chosen: null, // { side, sentence, word }
  color: "strata",
  timer: 0, running: null,
  told: "", // shown as the note of the next translation
};

// ---- the server

async function ask(path, body, signal) {
  const options = { signal };
  if (body instanceof FormData) {
    if ($("key").value) body.append("api_key", $("key").value);
    Object.assign(options, { method: "POST", body });
  } else if (body) {
    const key = $("key").value ? { api_key: $("key").value } : {};
    Object.assign(options, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ...body, ...key }) });
  }
  const answer = await fetch(path, options);
  const json = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  if (!answer.ok) {
    const wait = answer.headers.get("retry-after");
    throw new Error(json.error + (wait ? ` (in ${wait} s)` : ""));
  }
  return json;
}

// ---- languages

const names = (() => {
  try { return new Intl.DisplayNames([navigator.language || "en"], { type: "language", fallback: "none" }); } catch { return null; }
})();

function nameOf(tag) {
  if (tag === "auto") return "Detect language";
  const known = state.languages.find((language) => language.code === tag);
  let local;
  try { local = names && names.of(tag.replace("_", "-")); } catch { local = undefined; }
  return local || (known && known.name) || tag;
}

function sources() { return ["auto", ...state.languages.map((language) => language.code)]; }

function targets() {
  const of = (language) => language.targets.filter((target) => target !== language.code);
  const from = state.languages.find((language) => language.code === state.from);
  return [...new Set(from ? of(from) : state.languages.flatMap(of))].sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
}

function direct(element, tag) {
  element.lang = tag === "auto" ? "" : tag.replace("_", "-");
  element.dir = tag === "auto" ? "auto" : RIGHT_TO_LEFT.has(tag.toLowerCase()) || RIGHT_TO_LEFT.has(tag.split(/[-_]/)[0].toLowerCase()) ? "rtl" : "ltr";
}

function setLanguages(from, to) {
  state.from = from;
  const possible = targets();
  state.to = possible.includes(to) ? to : possible[0] || "";
  menus.from.show(state.from);
  menus.to.show(state.to);
  direct($("source"), state.from);
  direct($("target"), state.to);
  $("swap").disabled = state.from === "auto" && !(state.route && state.route.source);
  soon(0);
}

// A button that opens a list with a search field; arrow keys, Home, End, Enter and Escape work.
function menu(which, options, choose) {
  const root = document.querySelector(`[data-menu="${which}"]`);
  const [button, list, search, items] = [".menu-button", ".menu-list", "input", "ul"].map((part) => root.querySelector(part));
  items.id = `${which}-list`;
  button.setAttribute("aria-controls", items.id);
  search.setAttribute("role", "combobox");
  search.setAttribute("aria-controls", items.id);
  search.setAttribute("aria-expanded", "true");
  let shown = [], at = 0, current = "";
  const draw = () => {
    const wanted = search.value.trim().toLowerCase();
    shown = options().filter((tag) => tag.toLowerCase().startsWith(wanted) || nameOf(tag).toLowerCase().includes(wanted));
    at = Math.max(0, Math.min(at, shown.length - 1));
    items.replaceChildren(...shown.map((tag, i) => {
      const item = document.createElement("li");
      item.id = `${which}-${i}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", String(tag === current));
      item.className = i === at ? "at" : "";
      item.append(nameOf(tag));
      if (tag !== "auto") {
        const code = document.createElement("span");
        code.className = "quiet";
        code.textContent = tag;
        item.append(code);
      }
      item.addEventListener("mousedown", (event) => { event.preventDefault(); pick(tag); });
      return item;
    }));
    search.setAttribute("aria-activedescendant", shown.length ? `${which}-${at}` : "");
    const active = items.children[at];
    if (active) active.scrollIntoView({ block: "nearest" });
  };
  const open = () => {
    list.hidden = false;
    button.setAttribute("aria-expanded", "true");
    search.value = "";
    at = Math.max(0, options().indexOf(current));
    draw();
    search.focus();
  };
  const close = (focus) => {
    list.hidden = true;
    button.setAttribute("aria-expanded", "false");
    if (focus) button.focus();
  };
  const pick = (tag) => { close(true); choose(tag); };
  button.addEventListener("click", () => (list.hidden ? open() : close(true)));
  button.addEventListener("keydown", (event) => { if (event.key === "ArrowDown" && list.hidden) { event.preventDefault(); open(); } });
  search.addEventListener("input", () => { at = 0; draw(); });
  search.addEventListener("keydown", (event) => {
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: shown.length - 1 };
    if (event.key in moves) {
      event.preventDefault();
      at = Math.max(0, Math.min(moves[event.key], shown.length - 1));
      draw();
    } else if (event.key === "Enter" && shown[at]) {
      event.preventDefault();
      pick(shown[at]);
    } else if (event.key === "Escape") {
      close(true);
    }
  });
  root.addEventListener("focusout", (event) => { if (!root.contains(event.relatedTarget)) close(false); });
  return { show(tag) { current = tag; button.textContent = nameOf(tag); button.setAttribute("aria-label", `${which === "from" ? "Translate from" : "Translate into"}: ${nameOf(tag)}`); } };
}

// ---- live translation

function soon(wait = WAIT_MS) {
  clearTimeout(state.timer);
  if (state.running) state.running.abort();
  state.timer = setTimeout(translate, wait);
}

async function translate() {
  const text = $("source").value;
  count();
  if (!text.trim() || !state.to) { show(null, []); return note(""); }
  const running = new AbortController();
  state.running = running;
  busy(true);
  try {
    if (state.from === "auto") {
      const [found] = await ask("detect", { q: text }, running.signal);
      const other = targets().find((tag) => tag !== found.language);
      if (found.confidence > 0 && found.language === state.to && other) {
        state.to = other;
        menus.to.show(other);
        direct($("target"), other);
        state.told = `The text is ${nameOf(found.language)} already; translating into ${nameOf(other)}.`;
      }
    }
    const route = await ask("v1/route", { q: text, source: state.from, target: state.to, alignments: true }, running.signal);
    if (state.running !== running) return;
    show(route, []);
    note(route.model ? state.told : `The text is ${nameOf(route.target)} already.`);
    state.told = "";
    say(route.translatedText);
    const more = await ask("translate", { q: text, source: route.source, target: state.to, alternatives: 3 }, running.signal);
    if (state.running === running) alternatives(more.alternatives || []);
  } catch (error) {
    if (error.name !== "AbortError" && state.running === running) { show(null, []); note(error.message, true); }
  } finally {
    if (state.running === running) { state.running = null; busy(false); }
  }
}

function busy(is) {
  $("busy").textContent = is ? "translating…" : "";
  document.querySelectorAll(".pane")[1].classList.toggle("waiting", is);
}

function note(text, bad = false) {
  $("note").textContent = text;
  $("note").classList.toggle("bad", bad);
}

// For screen readers: read out once typing pauses.
let saying = 0;
function say(text) {
  clearTimeout(saying);
  saying = setTimeout(() => { $("said").textContent = text; }, 1000);
}

function count() {
  const length = [...$("source").value].length;
  $("count").textContent = state.limit ? `${length.toLocaleString()} / ${state.limit.toLocaleString()}` : "";
}

// ---- words

function show(route, others) {
  state.route = route;
  state.chosen = null;
  $("details").hidden = true;
  const model = route && route.model; // none for a text that is in the target language already
  $("capacity").hidden = !model || !model.strata.length;
  $("copy").disabled = !route;
  $("swap").disabled = state.from === "auto" && !route;
  alternatives(others);
  $("model").textContent = model ? `${model.name} · ${kind(model)}${state.from === "auto" ? ` · from ${nameOf(route.source)}` : ""}` : "";
  if (!route) { $("target").replaceChildren(); $("source-words").replaceChildren(); return; }
  direct($("source-words"), route.source);
  $("target").replaceChildren(...side("target"));
  $("source-words").replaceChildren(...side("source"));
  paint();
}

function kind(model) {
  if (!model.strata.length) return "dense";
  return `${{ smoe: "SMoE", moe: "MoE", switch: "Switch", cmr: "CMR", stacked: "stacked MoE" }[model.kind] || model.kind}-${model.strata.join("-")}`;
}

// The words of all sentences as buttons, with the text between sentences as the answer has it.
function side(which) {
  const nodes = [];
  const whole = which === "target" ? state.route.translatedText : $("source").value;
  let at = 0;
  state.route.sentences.forEach((sentence, s) => {
    const found = whole.indexOf(sentence[which].text, at);
    if (found > at) nodes.push(document.createTextNode(whole.slice(at, found)));
    else if (found < 0 && s > 0) nodes.push(document.createTextNode(" "));
    if (found >= 0) at = found + sentence[which].text.length;
    sentence[which].words.forEach((word, w) => {
      if (word.tokens[0] === word.tokens[1]) { nodes.push(document.createTextNode(word.text)); return; }
      const button = document.createElement("button");
      button.type = "button";
      button.className = "word";
      button.textContent = word.text;
      button.dataset.at = `${which} ${s} ${w}`;
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => choose(which, s, w));
      // A word joiner: no line begins with a punctuation mark.
      if (nodes.length && nodes[nodes.length - 1].nodeName === "BUTTON" && /^\p{P}+$/u.test(word.text)) nodes.push(document.createTextNode("\u2060"));
      nodes.push(button);
    });
    if (!sentence[which].words.length) nodes.push(document.createTextNode(sentence[which].text));
  });
  if (!state.route.model) nodes.push(document.createTextNode(whole));
  return nodes;
}

function tokensOf(which, s, w) {
  const part = state.route.sentences[s][which];
  const [first, end] = part.words[w].tokens;
  return part.tokens.slice(first, end);
}

function visitsOf(which, s, w) { return tokensOf(which, s, w).flatMap((token) => token.blocks.flatMap((block) => block.visits)); }

// The value behind a word's color, or null: the decoder need not read the last word that it wrote.
function figure(which, s, w) {
  const word = state.route.sentences[s][which].words[w];
  if (word.strata === null) return null;
  if (state.color === "strata") return word.strata;
  const blocks = tokensOf(which, s, w).flatMap((token) => token.blocks);
  const different = blocks.map((block) => new Set(block.visits.flatMap((visit) => visit.experts)).size);
  return different.reduce((sum, n) => sum + n, 0) / different.length;
}

function scale() {
  const model = state.route.model;
  const strata = model.strata.length;
  if (state.color === "strata") return [1, strata];
  const least = Math.min(model.top_k, ...model.strata);
  return [least, Math.max(least, Math.min(model.top_k * strata, model.strata.reduce((a, b) => a + b, 0)))];
}

function level(value) {
  const [low, high] = scale();
  return high > low ? Math.min(LEVELS - 1, Math.max(0, Math.round(((value - low) / (high - low)) * (LEVELS - 1)))) : 0;
}

const unit = () => (state.color === "strata" ? "strata" : "experts");

function paint() {
  document.querySelectorAll(".word").forEach((button) => {
    const [which, s, w] = button.dataset.at.split(" ");
    const value = figure(which, +s, +w);
    button.className = "word" + (state.color !== "none" && value !== null ? ` k${level(value)}` : "");
    const told = value === null ? "not read by the decoder" : `${value.toFixed(1)} ${unit()}`;
    button.title = state.color === "none" ? "" : told;
    button.setAttribute("aria-label", state.color === "none" ? button.textContent : `${button.textContent}, ${told}`);
  });
  const legend = $("legend");
  legend.hidden = state.color === "none" || !state.route.model;
  if (legend.hidden) return;
  const [low, high] = scale();
  const steps = high > low ? [...Array(LEVELS).keys()] : [0];
  legend.setAttribute("aria-label", `Colors from ${low} to ${high} ${unit()} for each block`);
  legend.replaceChildren(`${unit()} for each block:`, ...steps.map((step) => {
    const patch = document.createElement("span");
    patch.className = `k${step}`;
    patch.textContent = (low + ((high - low) * step) / (LEVELS - 1)).toFixed(high - low < LEVELS - 1 ? 2 : 1).replace(/\.?0+$/, "");
    return patch;
  }));
}

// ---- a word's path

function choose(which, s, w) {
  const same = state.chosen && state.chosen.join(" ") === `${which} ${s} ${w}`;
  state.chosen = same ? null : [which, s, w];
  const linked = new Set();
  if (!same) {
    const [mine, other] = which === "source" ? [0, 1] : [1, 0];
    const name = which === "source" ? "target" : "source";
    (state.route.sentences[s].alignment || []).filter((pair) => pair[mine] === w).forEach((pair) => linked.add(`${name} ${s} ${pair[other]}`));
  }
  document.querySelectorAll(".word").forEach((button) => {
    button.setAttribute("aria-pressed", String(!same && button.dataset.at === `${which} ${s} ${w}`));
    button.classList.toggle("linked", linked.has(button.dataset.at));
  });
  $("details").hidden = same;
  if (!same) details(which, s, w, linked);
}

function element(name, text, properties = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  return Object.assign(made, properties);
}

const several = (count, one, many) => `${count} ${count === 1 ? one : many}`;

function details(which, s, w, linked) {
  const word = state.route.sentences[s][which].words[w];
  const model = state.route.model;
  const layers = which === "source" ? model.encoder_layers : model.decoder_layers;
  const visits = visitsOf(which, s, w);
  const experts = new Set(tokensOf(which, s, w).flatMap((t) => t.blocks.flatMap((b) => b.visits.flatMap((v) => v.experts.map((e) => `${b.layer} ${e}`)))));
  const title = element("h3", `“${word.text}” in the ${which === "source" ? "encoder" : "decoder"}`);
  const partners = [...linked].map((at) => { const [side, i, j] = at.split(" "); return state.route.sentences[i][side].words[j].text; });
  const sum = element("p", word.strata === null
    ? "The decoder wrote this word last and did not read it again."
    : `${several(visits.length, "visit to a stratum", "visits to strata")}, ${several(experts.size, "expert", "different experts")} in ${several(layers.length, "block", "blocks")}.` + (partners.length ? ` Linked with: ${partners.join(", ")}.` : ""));
  sum.className = "quiet";
  const table = element("table");
  const head = element("tr");
  head.append(element("th", "subword", { scope: "col" }), ...layers.map((layer) => element("th", `block in layer ${layer}`, { scope: "col" })));
  table.append(head);
  tokensOf(which, s, w).forEach((token) => {
    const row = element("tr");
    const piece = element("th", token.piece, { scope: "row" });
    piece.className = "piece";
    row.append(piece, ...layers.map((layer) => {
      const cell = element("td");
      const block = token.blocks.find((b) => b.layer === layer);
      if (!block) { cell.textContent = "–"; return cell; }
      block.visits.forEach((visit) => {
        const line = element("span");
        line.className = "visit";
        line.append(`stratum ${visit.stratum} → `);
        visit.experts.forEach((expert, i) => {
          const p = visit.probabilities[i];
          line.append(`${i ? ", " : ""}expert ${expert} `, element("meter", undefined, { min: 0, max: 1, value: p, ariaLabel: `probability ${p.toFixed(2)}` }), ` ${(100 * p).toFixed(0)} %`);
        });
        cell.append(line);
      });
      return cell;
    }));
    table.append(row);
  });
  $("details").replaceChildren(title, sum, table);
  direct(title, "en");
}

function alternatives(others) {
  $("others").hidden = !others.length;
  // The direction of the list, too: its numbers stand where its lines begin.
  direct($("alternatives"), state.to);
  $("alternatives").replaceChildren(...others.map((text) => element("li", text)));
}

// ---- files

async function translateFile(file) {
  const known = state.formats.some((format) => file.name.toLowerCase().endsWith(format));
  if (!known) return note(`Files can be ${state.formats.join(", ")}.`, true);
  note(`Translating ${file.name} …`);
  const form = new FormData();
  form.append("source", state.from);
  form.append("target", state.to);
  form.append("file", file);
  try {
    const { translatedFileUrl } = await ask("translate_file", form);
    // The name only: behind a proxy the page's host and path may be ones that the server does not know.
    const link = element("a", "Save the translation", { href: `download_file/${new URL(translatedFileUrl).pathname.split("/").pop()}`, download: "" });
    const dot = file.name.lastIndexOf(".");
    link.download = `${file.name.slice(0, dot)}.${state.to}${file.name.slice(dot)}`;
    $("note").replaceChildren(`${file.name}: `, link);
    $("note").classList.remove("bad");
    link.focus();
  } catch (error) {
    note(error.message, true);
  }
}

// ---- start

const menus = {
  from: menu("from", sources, (tag) => setLanguages(tag, state.to)),
  to: menu("to", targets, (tag) => setLanguages(state.from, tag)),
};

function theme(set) {
  const dark = set ? set === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  if (set) document.documentElement.dataset.theme = set;
  $("theme").textContent = dark ? "Light" : "Dark";
  $("theme").setAttribute("aria-pressed", String(dark));
  return dark;
}

async function start() {
  theme();
  const [settings, languages] = await Promise.all([ask("frontend/settings"), ask("languages")]);
  Object.assign(state, { languages, limit: Math.min(settings.charLimit, 5000), formats: settings.supportedFilesFormat });
  $("file").accept = state.formats.join(",");
  $("key-field").hidden = !settings.keyRequired;
  const wanted = languages.some((language) => language.code === navigator.language.split("-")[0]) ? navigator.language.split("-")[0] : settings.language.target.code;
  // A link may say what to translate: ?q=TEXT&source=en&target=de.
  const asked = new URLSearchParams(location.search);
  const known = (tag) => languages.find((language) => language.code === tag || (language.aliases || []).includes(tag));
  const [from, to] = ["source", "target"].map((name) => known(asked.get(name) || ""));
  if (asked.get("q")) $("source").value = asked.get("q");
  setLanguages(from ? from.code : "auto", to ? to.code : wanted);
  count();
}

$("source").addEventListener("input", () => soon());
$("key").addEventListener("change", () => soon(0));
$("clear").addEventListener("click", () => { $("source").value = ""; $("source").focus(); soon(0); });
$("copy").addEventListener("click", async () => {
  try { await navigator.clipboard.writeText(state.route.translatedText); note("Copied."); } catch { note("The browser does not let this page copy.", true); }
});
$("swap").addEventListener("click", () => {
  const from = state.from === "auto" ? state.route.source : state.from;
  if (state.route) $("source").value = state.route.translatedText;
  setLanguages(state.to, from);
});
$("theme").addEventListener("click", () => theme($("theme").getAttribute("aria-pressed") === "true" ? "light" : "dark"));
document.querySelectorAll("[name=color]").forEach((radio) => radio.addEventListener("change", () => { state.color = radio.value; if (state.route) paint(); }));
$("file").addEventListener("change", () => { if ($("file").files[0]) translateFile($("file").files[0]); $("file").value = ""; });
document.addEventListener("dragover", (event) => { event.preventDefault(); $("drop").hidden = false; });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("drop").hidden = true; });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").hidden = true;
  if (event.dataTransfer.files[0]) translateFile(event.dataTransfer.files[0]);
});
start().catch((error) => note(`This server does not answer: ${error.message}`, true));
