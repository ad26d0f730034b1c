import puppeteer from "puppeteer-core";
const b = await puppeteer.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox","--disable-gpu"] });
for (const spec of process.argv.slice(2)) {
  const [kind, width, from, to, mode = ""] = spec.split(":");
  const page = await b.newPage();
  await page.setViewport({ width: +width, height: 900 });
  if (mode.includes("dark")) await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  await page.goto(`file:///tmp/report/${kind}/index.html`);
  if (mode.includes("grey")) await page.addStyleTag({ content: "html{filter:grayscale(1)}" });
  if (mode.includes("open")) await page.evaluate(() => { for (const d of document.querySelectorAll("details")) d.open = true; });
  const h = await page.evaluate(() => [document.documentElement.scrollHeight, document.documentElement.scrollWidth]);
  if (mode.includes("pdf")) await page.pdf({ path: `/tmp/report/${kind}.pdf`, format: "A4", preferCSSPageSize: true });
  else await page.screenshot({ path: `/tmp/report/${kind}-${width}-${from}${mode}.png`, fullPage: false, captureBeyondViewport: true, clip: { x: 0, y: +from, width: +width, height: Math.min(+to, h[0]) - +from } });
  console.log(spec, h); await page.close();
}
await b.close();
