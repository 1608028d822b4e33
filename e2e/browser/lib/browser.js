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
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP *.test 127.0.0.1"],
    viewport: { width: 1280, height: 860 }, colorScheme: "light", reducedMotion: "reduce",
  });
  context.setDefaultTimeout(15_000);
  return {
    context,
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

// picture saves a screenshot where SCREENSHOTS says; without it there are none.
export async function picture(page, name, of = "sandbox-", fullPage = false) {
  const folder = process.env.SCREENSHOTS;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: path.join(folder, `${of}${name}.png`), fullPage });
}
