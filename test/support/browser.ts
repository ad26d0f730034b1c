/** A real browser without a window, for tests of pages; none is needed to run the other tests. */
import { existsSync } from "node:fs";
import puppeteer, { type Browser } from "puppeteer-core";

interface Packaged {
  readonly args: string[];
  executablePath(): Promise<string>;
}

const usual = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** What to say where none is found. */
export const noBrowser = "no Chromium here: install one, or name it in CLIMAX_CHROMIUM";

/** Opens the Chromium named by CLIMAX_CHROMIUM, an installed one, or the one of an npm package where it can run. */
export async function openBrowser(): Promise<Browser | undefined> {
  const named = process.env.CLIMAX_CHROMIUM;
  if (named !== undefined) return launch(named);
  const installed = usual.find((path) => existsSync(path));
  if (installed !== undefined) return launch(installed);
  try {
    const name = "@sparticuz/chromium"; // optional: its types are not there either where it is not installed
    const { default: chromium } = (await import(name)) as { default: Packaged };
    return await launch(await chromium.executablePath(), chromium.args);
  } catch {
    return undefined; // not installed, or without the libraries it wants
  }
}

const launch = (executablePath: string, args: readonly string[] = []) =>
  puppeteer.launch({
    executablePath,
    headless: true,
    // Containers have neither a sandbox for root nor much shared memory; only pages of ours are opened.
    args: [...args, "--no-sandbox", "--disable-dev-shm-usage"],
  });
