// Types a text into the server's page, chooses a word of the translation, and takes a screenshot. See picture.sh.
const { chromium } = require("playwright-core");
const [address, text, from, to, picture] = process.argv.slice(2);

async function choose(page, menu, tag) {
  await page.locator(`[data-menu=${menu}] .menu-button`).click();
  await page.keyboard.type(tag);
  await page.keyboard.press("Enter");
}

async function main() {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  const page = await browser.newPage({ viewport: { width: 1000, height: 640 } });
  await page.goto(address);
  await page.waitForFunction(() => !document.querySelector("[data-menu=to] .menu-button").textContent.includes("Language"));
  await choose(page, "from", from);
  await choose(page, "to", to);
  await page.locator("#source").fill(text);
  await page.waitForTimeout(600); // the page waits for the next key
  await page.locator("#target .word").first().waitFor();
  await page.waitForFunction(() => document.querySelector("#busy").textContent === "");
  // The word that visited most strata: the legend's last color.
  const words = await page.locator("#target .word").evaluateAll((all) => all.map((word) => Number(/\bk(\d)\b/.exec(word.className)?.[1] ?? 0)));
  await page.locator("#target .word").nth(words.indexOf(Math.max(...words))).click();
  await page.locator("#details").waitFor();
  await page.evaluate(() => { document.activeElement.blur(); window.scrollTo(0, 0); });
  const details = await page.locator("#details").boundingBox();
  await page.screenshot({ path: picture, fullPage: true, clip: { x: 0, y: 0, width: 1000, height: details.y + details.height + 16 } });
  await browser.close();
}

main().catch((error) => { console.error(error); process.exit(1); });
