// A user's way through the page, in headless Chromium: from opening it to reading a word's path.
//
//   npm install playwright-core           (somewhere on NODE_PATH's way; Debian's package chromium)
//   strata serve runs/quickstart &
//   node crates/serve/page/check/page.mjs http://127.0.0.1:5000 SCREENSHOTS [TEXT]
//
// Exits with code 1 at the first check that fails. CHROMIUM names another browser.
import { mkdirSync, writeFileSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";

const require = createRequire(path.join(process.cwd(), "package.json"));
const { chromium } = require("playwright-core");
const [address, shots, text = "The old dog sees the cat."] = process.argv.slice(2);
mkdirSync(shots, { recursive: true });

let checks = 0;
function check(holds, what) {
  checks += 1;
  if (!holds) { console.error(`NOT SO: ${what}`); process.exit(1); }
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true });
const page = await context.newPage();
const faults = [];
page.on("console", (message) => { if (message.type() === "error") faults.push(message.text()); });
page.on("pageerror", (error) => faults.push(String(error)));
const shot = (name, options = {}) => page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: true, ...options });
const words = () => page.locator("#target .word");
// Longer than the page waits for the next keystroke.
const translated = async () => { await page.waitForTimeout(400); await words().first().waitFor(); await page.waitForFunction(() => document.querySelector("#busy").textContent === ""); };

await page.goto(address);
await page.locator("[data-menu=to] .menu-button").waitFor();
await page.waitForFunction(() => !document.querySelector("[data-menu=to] .menu-button").textContent.includes("Language"));
check(await page.evaluate(() => document.activeElement.id === "source"), "the text field has the focus at the start");
await shot("1-open");

// Typing, with the source language identified.
await page.keyboard.type(text, { delay: 5 });
await translated();
check((await words().count()) >= 2, "the translation has words");
check((await page.locator("#source-words .word").count()) >= 4, "the source has words");
check((await page.locator("#legend span").count()) >= 1, "there is a legend");
check(/\bk\d\b/.test(await words().first().getAttribute("class")), "words are colored");
await shot("2-translated");

// Further typing cancels the pending request.
let cancelled = 0;
page.on("requestfailed", () => { cancelled += 1; });
await page.route("**/v1/route", async (route) => { await new Promise((done) => setTimeout(done, 600)); await route.continue().catch(() => {}); });
await page.locator("#source").press("End");
await page.keyboard.type(" It");
await page.waitForTimeout(500);
await page.keyboard.type(" sleeps.");
await page.unroute("**/v1/route", { behavior: "ignoreErrors" });
await translated();
check(cancelled >= 1, "a request that is out of date is cancelled");

// A word's path, by mouse and by keyboard.
await words().first().click();
const details = page.locator("#details");
await details.waitFor();
const told = await details.innerText();
check(/stratum 0 → expert \d+/.test(told) && /%/.test(told), `a word's path names strata, experts and probabilities: ${told}`);
check((await words().first().getAttribute("aria-pressed")) === "true", "the chosen word says so");
await shot("3-word");
await page.locator("#source-words .word").nth(1).focus();
await page.keyboard.press("Enter");
check((await details.innerText()).includes("in the encoder"), "a source word is chosen by the keyboard");
await page.locator("[value=experts]").check();
check((await page.locator("#legend").innerText()).includes("experts"), "words can be colored by experts");
await page.locator("[value=strata]").check();

// The language menu, by keyboard alone.
await page.locator("[data-menu=to] .menu-button").focus();
await page.keyboard.press("Enter");
const options = page.locator("#to-list li");
check((await options.count()) >= 1, "the menu has languages");
await shot("4-menu");
const other = await options.last().innerText();
await page.keyboard.type(other.split("\n").pop().trim());
check((await options.count()) >= 1, "the search finds a language by its tag");
await page.keyboard.press("Enter");
check(await page.evaluate(() => document.activeElement.classList.contains("menu-button")), "the focus returns to the menu's button");
await translated();
await page.keyboard.press("Enter");
await page.keyboard.press("Escape");
check(await page.locator("[data-menu=to] .menu-list").isHidden(), "Escape closes the menu");

// A file.
const file = path.join(tmpdir(), "strata-page.txt");
writeFileSync(file, `${text}\n\n${text}\n`);
await page.locator("#file").setInputFiles(file);
const link = page.locator("#note a");
await link.waitFor();
const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
const saved = readFileSync(await download.path(), "utf8");
check(saved.split("\n").length === 4 && saved.trim().length > 0, "the translated file has as many lines");
await page.locator("#file").setInputFiles({ name: "a.exe", mimeType: "application/octet-stream", buffer: Buffer.from("x") });
check((await page.locator("#note").innerText()).includes(".srt"), "a file of another kind is refused");

// Dark, and a phone.
await page.locator("#theme").click();
await shot("5-dark");
await page.setViewportSize({ width: 375, height: 740 });
await shot("6-phone");
const wide = await page.evaluate(() => [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1).map((e) => `${e.tagName}#${e.id}.${e.className}`));
check(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `nothing is wider than a phone: ${wide}`);
await page.setViewportSize({ width: 1280, height: 900 });

// For screen readers: every control has a name.
const nameless = await page.evaluate(() => [...document.querySelectorAll("button, input, textarea, select, a")]
  .filter((e) => !e.closest("[hidden]") && !(e.ariaLabel || e.textContent.trim() || (e.labels && e.labels.length) || e.title))
  .map((e) => e.outerHTML));
check(nameless.length === 0, `controls without a name: ${nameless}`);

// The server's message about a text that is too long.
await page.locator("#source").fill("word ".repeat(1200));
await page.waitForFunction(() => document.querySelector("#note.bad")?.textContent.includes("characters"));
check((await page.locator("#note").innerText()).includes("characters"), "a text that is too long is explained");
check(faults.filter((fault) => !/status of 4(00|13)/.test(fault)).length === 0, `faults in the console: ${faults.join("; ")}`);

// A text that is in the target language already, with made-up answers of a server.
const same = await context.newPage();
same.on("pageerror", (error) => faults.push(String(error)));
await same.route("**/languages", (route) => route.fulfill({ json: [{ code: "en", name: "English", targets: ["de", "en"] }] }));
await same.route("**/detect", (route) => route.fulfill({ json: [{ language: "en", confidence: 10 }] }));
await same.route("**/v1/route", (route) => route.fulfill({ json: { model: null, source: "de", target: "de", translatedText: "Guten Tag", sentences: [] } }));
await same.route("**/translate", (route) => route.fulfill({ json: { translatedText: "Guten Tag", alternatives: [] } }));
await same.goto(address);
await same.locator("#source").fill("Guten Tag");
await same.waitForFunction(() => document.querySelector("#note").textContent.includes("already"));
check((await same.locator("#target").innerText()) === "Guten Tag", "a text in the target language is shown as it is");
check(await same.locator("#capacity").isHidden(), "it has no colors");
await same.locator("#swap").click();
check(faults.filter((fault) => !/status of 4(00|13)/.test(fault)).length === 0, `faults in the console: ${faults.join("; ")}`);

// A right-to-left language, with made-up answers of a server.
const rtl = await context.newPage();
const word = (text, at) => ({ text, tokens: [at, at + 1], strata: 1 });
const token = (piece) => ({ piece, blocks: [{ layer: 1, visits: [{ stratum: 0, experts: [0, 1], probabilities: [0.6, 0.3] }] }] });
await rtl.route("**/languages", (route) => route.fulfill({ json: [{ code: "en", name: "English", targets: ["ar", "en"] }] }));
await rtl.route("**/v1/route", (route) => route.fulfill({ json: {
  model: { name: "m", kind: "smoe", strata: [2, 2], top_k: 2, encoder_layers: [1], decoder_layers: [1] },
  source: "en", target: "ar", translatedText: "مرحبا بالعالم",
  sentences: [{
    source: { text: "Hello", tokens: [token("▁Hello")], words: [word("Hello", 0)] },
    target: { text: "مرحبا بالعالم", tokens: [token("▁مرحبا"), token("▁بالعالم")], words: [word("مرحبا", 0), { text: " ", tokens: [0, 0], strata: null }, word("بالعالم", 1)] },
  }],
} }));
await rtl.route("**/translate", (route) => route.fulfill({ json: { translatedText: "مرحبا بالعالم", alternatives: [] } }));
await rtl.goto(address);
await rtl.locator("#source").fill("Hello");
await rtl.locator("#target .word").first().waitFor();
check((await rtl.locator("#target").evaluate((e) => getComputedStyle(e).direction)) === "rtl", "Arabic runs from right to left");
await rtl.screenshot({ path: path.join(shots, "7-rtl.png") });

// The same with a real model that translates into one, if the server has any.
const fromServer = await (await context.request.get(`${address}/languages`)).json();
const target = fromServer.flatMap((language) => language.targets).find((tag) => ["ar", "fa", "he", "ur"].includes(tag));
if (target) {
  const own = await context.newPage();
  await own.goto(address);
  await own.locator("[data-menu=to] .menu-button").click();
  await own.keyboard.type(target);
  await own.keyboard.press("Enter");
  await own.locator("#source").fill(text);
  await own.locator("#target .word").first().waitFor();
  const style = await own.locator("#target").evaluate((e) => ({ direction: getComputedStyle(e).direction, lang: e.lang, align: getComputedStyle(e).textAlign }));
  check(style.direction === "rtl" && style.lang === target, `${target} runs from right to left and is named to screen readers: ${JSON.stringify(style)}`);
  check((await own.locator("#source").evaluate((e) => getComputedStyle(e).direction)) === "ltr", "the source still runs from left to right");
  const boxes = await own.locator("#target .word").evaluateAll((all) => all.slice(0, 2).map((e) => e.getBoundingClientRect().right));
  check(boxes.length < 2 || boxes[0] > boxes[1], "the first word stands furthest to the right");
  await own.locator("#target .word").first().click();
  await own.locator("#details").waitFor();
  await own.screenshot({ path: path.join(shots, "8-rtl-model.png"), fullPage: true });
}
console.log(`${checks} checks passed${target ? `, one of them with a model into ${target}` : ""}`);
await browser.close();
