// Chromium for the page's tests, watched: a request to any other place than the server under test, a
// broken rule of the page's policy, or an error in its scripts fails the test that caused it.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // Tests run as root in containers, where the sandbox cannot start.
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
}

/** Runs `test(page, problems)` in a fresh profile; throws when anything forbidden happened. */
export async function withPage(browser, url, options, test) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    permissions: ['clipboard-read', 'clipboard-write'],
    ...options,
  });
  context.setDefaultTimeout(30_000);
  const origin = new URL(url).origin;
  const problems = [];
  await context.route('**/*', (route) => {
    const address = route.request().url();
    if (new URL(address).origin === origin) return route.fallback();
    problems.push(`a request left for ${address}`);
    return route.abort();
  });
  const page = await context.newPage();
  page.on('pageerror', (error) => problems.push(`script error: ${error.message}`));
  page.on('console', (message) => {
    if (/Content Security Policy|Refused to/i.test(message.text())) problems.push(message.text());
  });
  page.on('dialog', (dialog) => {
    problems.push(`a dialog opened: ${dialog.message()}`);
    void dialog.dismiss();
  });
  try {
    await page.goto(url);
    await page.getByRole('textbox', { name: 'Message', exact: true }).waitFor();
    await test(page);
  } catch (error) {
    await picture(page, 'failed');
    throw new Error(`${error.message}\n${problems.join('\n')}`, { cause: error });
  } finally {
    await context.close();
  }
  if (problems.length > 0) throw new Error(problems.join('\n'));
}

/** Keeps a picture of the page where SCREENSHOTS names a folder for them. */
export async function picture(page, name) {
  const folder = process.env.SCREENSHOTS;
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

export const composer = (page) => page.getByRole('textbox', { name: 'Message', exact: true });
export const replies = (page) => page.getByRole('article', { name: 'Reply' });
export const questions = (page) => page.getByRole('article', { name: 'You' });

/** Sends a message without waiting for the reply. */
export async function send(page, text) {
  await composer(page).fill(text);
  await composer(page).press('Enter');
}

/** Waits until no reply is being written. */
export async function settled(page) {
  await page.locator('article.assistant').last().waitFor();
  await page.waitForFunction(() => !document.querySelector('article.assistant[aria-busy="true"]'));
}

/** Sends a message and waits for the whole reply; its text. */
export async function ask(page, text) {
  const before = await replies(page).count();
  await send(page, text);
  await page.waitForFunction(
    (count) => document.querySelectorAll('article.assistant').length > count,
    before,
  );
  await settled(page);
  return replyText(page);
}

export function replyText(page) {
  return replies(page).last().locator('.markdown').last().innerText();
}
