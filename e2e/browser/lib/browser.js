// Chromium, with a profile that is thrown away.
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";

const executables = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

// browser starts one for which every name under .test is this machine, as a name is that a foreign site rebinds.
export async function browser() {
  const executablePath = executables.find((file) => file && existsSync(file));
  if (!executablePath) throw new Error("no Chromium: install it (Debian: apt-get install chromium) or name it in CHROMIUM");
  const profile = mkdtempSync(path.join(tmpdir(), "chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath, headless: true,
    args: ["--no-sandbox", "--no-proxy-server", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP *.test 127.0.0.1"],
    viewport: { width: 1280, height: 860 }, colorScheme: "light", reducedMotion: "reduce",
  });
  context.setDefaultTimeout(60_000); // for a machine that is busy with other tests
  return {
    context,
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

// watch opens a page and collects what must not happen on it: an error, a refused inline script or style, and anything that is
// fetched from elsewhere than its origin.
export async function watch({ context }, origin) {
  const page = await context.newPage();
  const problems = [];
  page.on("console", (message) => { if (message.type() === "error") problems.push(message.text()); });
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("request", (request) => { if (!request.url().startsWith(origin)) problems.push(`asked for ${request.url()}`); });
  return { page, problems };
}

const regions = { live: "Live events", records: "Records", users: "Users", experiments: "Experiments", requests: "Requests", faults: "Faults", send: "Send an exposure" };

// view opens a view of the sandbox's page, and waits until it is shown and the page is live.
export async function view(page, origin, name) {
  await page.goto(`${origin}/#/${name}`);
  await page.getByRole("region", { name: regions[name.split("/")[0]], exact: true }).waitFor();
  await page.locator(".pulse.live").waitFor();
}

// picture saves a screenshot where SCREENSHOTS says; without it there are none.
export async function picture(page, name, of = "sandbox-", fullPage = false) {
  if (fullPage) await page.evaluate(() => scrollTo(0, 0)); // what stays at the top would cover what is below it
  await save(page, `${of}${name}`, { fullPage });
}

// pictureOf saves one of a part of the page: so much of its height, since what follows is long.
export async function pictureOf(page, part, name, height) {
  await part.evaluate((element) => scrollTo(0, element.getBoundingClientRect().top + scrollY - 80)); // below what stays at the top
  const box = await part.boundingBox();
  await save(page, name, { clip: { ...box, height: Math.min(box.height, height) } });
}

async function save(page, name, options) {
  const folder = process.env.SCREENSHOTS;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: path.join(folder, `${name}.png`), ...options });
}
