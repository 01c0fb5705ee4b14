// What the page does with any server: with the mock, and with the real one on the tiny model.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { ask, composer, launch, picture, questions, replies, replyText, send, settled, withPage }
  from './browser.mjs';
import { serverUnderTest } from './server_under_test.mjs';

const kStory = 'Tell me a short story about a fox.';
let browser;
let server;
before(async () => {
  [browser, server] = await Promise.all([launch(), serverUnderTest()]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});
const onPage = (run, options = {}) => withPage(browser, server.url, options, run);

/** Lets the reply go on until it is stopped, whatever the model says. */
async function endless(page) {
  await page.route('**/v1/chat/completions', (route) => {
    const body = { ...route.request().postDataJSON(), ignore_eos: true };
    return route.continue({ postData: JSON.stringify(body) });
  });
}

test('a conversation streams, and the next turn finds its prefix cached', () =>
  onPage(async (page) => {
    await page.getByText('Good to see you').or(page.getByText(/^Chat with/)).waitFor();
    const first = await ask(page, kStory);
    assert.ok(first.length > 20, `reply: ${first}`);
    await ask(page, 'Who are you?');
    assert.equal(await replies(page).count(), 2);
    assert.equal(await questions(page).count(), 2);
    const cached = await page.locator('.stat-cache').last().innerText();
    const [hit, total] = cached.replace(/,/g, '').match(/\d+/g).map(Number);
    assert.ok(hit > 0 && hit < total, cached);
    assert.equal(await page.title(), 'Foretoken');
  }));

test('statistics are visible: speed, accepted drafts, cache, first token, chart', () =>
  onPage(async (page) => {
    await ask(page, kStory);
    const line = page.locator('.stats-line');
    assert.match(await line.innerText(), /tok\/s/);
    assert.match(await line.innerText(), /% of drafts accepted/);
    assert.match(await line.innerText(), /cached/);
    assert.match(await line.innerText(), /first token/);
    await line.click();
    const details = page.locator('.stats-details');
    assert.match(await details.innerText(), /Tokens per round/);
    assert.ok((await details.locator('.bar').count()) >= 1);
    await page.getByRole('button', { name: "Show the engine's numbers" }).click();
    const engine = page.getByRole('complementary', { name: "The engine's numbers" });
    await engine.getByText('All requests').waitFor();
    assert.match(await engine.getByTestId('engine-rate').innerText(), /^[\d.,]+ tok\/s$/);
    assert.match(await engine.innerText(), /Depth/);
    await picture(page, 'engine-light');
  }));

test('accepted drafts are tinted, until the tint is switched off', () =>
  onPage(async (page) => {
    await ask(page, kStory);
    const tinted = page.locator('.draft');
    const count = await tinted.count();
    assert.ok(count > 0, 'nothing is tinted');
    const text = await replyText(page);
    const marked = (await tinted.allInnerTexts()).join('');
    assert.ok(marked.length < text.length, 'the first token of a round is never a draft');
    await page.getByRole('button', { name: /^Tint what/ }).click();
    assert.equal(await tinted.count(), 0);
    assert.equal(await replyText(page), text);
    await page.getByRole('button', { name: /^Tint what/ }).click();
    assert.equal(await tinted.count(), count);
  }));

test('stopping keeps what was said', () =>
  onPage(async (page) => {
    await endless(page);
    for (const way of ['button', 'Escape']) {
      await send(page, 'a slow story, please');
      await page.locator('article.assistant[aria-busy="true"] .markdown').waitFor();
      if (way === 'button') await page.getByRole('button', { name: 'Stop (Esc)' }).click();
      else await page.keyboard.press('Escape');
      await settled(page);
      await replies(page).last().getByText('Stopped.').waitFor();
      assert.ok((await replyText(page)).length > 0);
    }
    await page.reload();
    await replies(page).last().getByText('Stopped.').waitFor();
  }));

test('editing makes a branch, and both can be reached', () =>
  onPage(async (page) => {
    await ask(page, kStory);
    await ask(page, 'Who are you?');
    await questions(page).first().hover();
    await questions(page).first().getByRole('button', { name: 'Edit and ask again' }).click();
    const editor = page.getByRole('textbox', { name: 'Edit your message' });
    assert.equal(await editor.inputValue(), kStory);
    await editor.fill('Count from 3 to 12.');
    await editor.press('Enter');
    await page.getByText('2 / 2').waitFor();
    await settled(page);
    assert.equal(await questions(page).count(), 1);
    assert.match(await questions(page).innerText(), /Count from 3 to 12/);
    await page.getByRole('button', { name: 'Earlier version' }).click();
    await page.getByText('1 / 2').waitFor();
    assert.equal(await questions(page).count(), 2);
    assert.match(await questions(page).first().innerText(), /fox/);
    await page.getByRole('button', { name: 'Later version' }).click();
    await page.getByText('2 / 2').waitFor();
    await picture(page, 'branch');
  }));

test('another reply is a sibling of the first', () =>
  onPage(async (page) => {
    await ask(page, kStory);
    await replies(page).last().getByRole('button', { name: 'Another reply' }).click();
    await page.getByText('2 / 2').waitFor();
    await settled(page);
    await replies(page).last().getByRole('button', { name: 'Earlier version' }).click();
    await page.getByText('1 / 2').waitFor();
    assert.equal(await replies(page).count(), 1);
  }));

test('a reload keeps everything, branches too', () =>
  onPage(async (page) => {
    const text = await ask(page, kStory);
    await replies(page).last().getByRole('button', { name: 'Another reply' }).click();
    await page.getByText('2 / 2').waitFor();
    await settled(page);
    await page.reload();
    await page.getByText('2 / 2').waitFor();
    await replies(page).last().getByRole('button', { name: 'Earlier version' }).click();
    await page.getByText('1 / 2').waitFor();
    assert.equal(await replyText(page), text);
    await page.locator('.stats-line').waitFor();
    assert.ok((await page.locator('.draft').count()) > 0, 'tints are kept');
    await page.getByRole('heading', { name: kStory }).waitFor();
  }));

test('chats are renamed, searched, exported, deleted, restored and imported', () =>
  onPage(async (page) => {
    await ask(page, kStory);
    await page.getByRole('button', { name: 'New chat' }).click();
    await ask(page, 'Who are you?');
    const list = page.getByRole('navigation', { name: 'Conversations' });
    await list.getByText('Who are you?', { exact: true }).hover();
    await list.getByRole('button', { name: 'Rename Who are you?' }).click();
    await list.getByRole('textbox').fill('An introduction');
    await list.getByRole('textbox').press('Enter');
    await page.getByRole('heading', { name: 'An introduction' }).waitFor();

    await page.keyboard.press('Control+k');
    const field = page.getByRole('combobox', { name: 'Search chats' });
    await field.fill('SHORT story');
    await page.getByRole('option', { name: /introduction/ }).waitFor({ state: 'detached' });
    assert.match(await page.getByRole('option').innerText(), /fox/);
    await picture(page, 'search');
    await field.press('Enter');
    await page.getByRole('heading', { name: kStory }).waitFor();

    await list.getByText(kStory).hover();
    const waiting = page.waitForEvent('download');
    await list.getByRole('button', { name: `Export ${kStory}` }).click();
    const file = await (await waiting).path();
    const exported = JSON.parse(await readFile(file, 'utf8'));
    assert.equal(exported.conversations.length, 1);
    assert.equal(exported.conversations[0].messages.length, 2);

    await list.getByRole('button', { name: `Delete ${kStory}` }).click();
    await page.getByText(/^Deleted/).waitFor();
    assert.equal(await list.getByText(kStory).count(), 0);
    await page.getByRole('button', { name: 'Undo' }).click();
    await list.getByText(kStory).waitFor();
    await list.getByText(kStory).hover();
    await list.getByRole('button', { name: `Delete ${kStory}` }).click();
    await list.getByText(kStory).waitFor({ state: 'detached' });
    const choosing = page.waitForEvent('filechooser');
    await page.getByRole('button', { name: 'Import chats' }).click();
    await (await choosing).setFiles(file);
    await list.getByText(kStory).click();
    await page.locator('.markdown').waitFor();
    assert.equal(await replies(page).count(), 1);
  }));

test('the keyboard does it all', () =>
  onPage(async (page) => {
    // Enter sends, Shift+Enter does not, and the field has the focus from the start.
    await page.keyboard.type('Who are');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('you?');
    assert.equal(await composer(page).inputValue(), 'Who are\nyou?');
    await page.keyboard.press('Enter');
    await page.locator('article.assistant').waitFor();
    await settled(page);
    assert.match(await questions(page).innerText(), /Who are\nyou\?/);
    // Up edits what was said last; Escape leaves it as it was.
    await page.keyboard.press('ArrowUp');
    const editor = page.getByRole('textbox', { name: 'Edit your message' });
    await editor.waitFor();
    await page.keyboard.press('Escape');
    await editor.waitFor({ state: 'detached' });
    await page.waitForFunction(() => document.activeElement?.ariaLabel === 'Message');
    // Ctrl+K lists, Escape closes; Ctrl+Shift+O begins anew.
    await page.keyboard.press('Control+k');
    await page.getByRole('option').first().waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('combobox', { name: 'Search chats' }).waitFor({ state: 'detached' });
    await page.keyboard.press('Control+Shift+O');
    await page.getByRole('heading', { name: 'New chat' }).waitFor();
    assert.equal(await questions(page).count(), 0);
  }));

test('settings reach the request and are kept', () =>
  onPage(async (page) => {
    await page.getByRole('button', { name: 'Settings' }).click();
    await page.getByLabel('System prompt').fill('Be brief.');
    await page.getByLabel('Temperature').fill('0');
    await page.getByLabel('Most tokens of a reply').fill('12');
    await page.getByRole('combobox', { name: /^Thinking/ }).selectOption('off');
    await page.getByLabel(/^Draft tokens/).uncheck();
    await picture(page, 'settings-light');
    await page.getByRole('button', { name: 'Close the settings' }).click();
    await page.getByRole('dialog').waitFor({ state: 'hidden' });  // until then keys are its own
    const asking = page.waitForRequest('**/v1/chat/completions');
    await ask(page, kStory);
    const body = (await asking).postDataJSON();
    assert.equal(body.temperature, 0);
    assert.equal(body.max_tokens, 12);
    assert.equal(body['speculative.n_max'], 0);
    assert.deepEqual(body.chat_template_kwargs, { enable_thinking: false });
    assert.deepEqual(body.messages[0], { role: 'system', content: 'Be brief.' });
    assert.equal(await page.locator('.draft').count(), 0);
    assert.equal(await page.locator('.stat-accepted').count(), 0);
    await page.reload();
    await page.getByRole('button', { name: 'Settings' }).click();
    assert.equal(await page.getByLabel('System prompt').inputValue(), 'Be brief.');
    await page.getByRole('button', { name: /^Back to/ }).click();
    assert.equal(await page.getByLabel('System prompt').inputValue(), '');
  }));

test('dark and light follow the system, or what was chosen', () =>
  onPage(
    async (page) => {
      const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const light = (color) => color.match(/\d+/g).map(Number)[0] > 128;
      assert.equal(light(await ground()), false);
      await ask(page, kStory);
      await picture(page, 'chat-dark');
      await page.getByRole('button', { name: /^Colours: as the system/ }).click();
      assert.equal(light(await ground()), true);
      await page.reload();
      assert.equal(light(await ground()), true);
      await picture(page, 'chat-light');
      await page.getByRole('button', { name: /^Colours: light/ }).click();
      assert.equal(light(await ground()), false);
    },
    { colorScheme: 'dark' },
  ));

test('a phone shows all of it without sideways scrolling', () =>
  onPage(
    async (page) => {
      await picture(page, 'phone-welcome');
      await ask(page, kStory);
      const wide = () => page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      assert.equal(await wide(), false);
      await picture(page, 'phone-chat');
      await page.getByRole('button', { name: 'Show or hide the list of chats' }).click();
      const list = page.getByRole('navigation', { name: 'Conversations' });
      await list.getByRole('button', { name: 'New chat' }).waitFor();
      await page.waitForTimeout(250);
      await picture(page, 'phone-list');
      await list.getByRole('button', { name: 'New chat' }).click();
      await page.getByRole('heading', { name: 'New chat' }).waitFor();
      await page.getByRole('button', { name: "Show the engine's numbers" }).click();
      await page.getByRole('complementary').waitFor();
      assert.equal(await wide(), false);
    },
    { viewport: { width: 375, height: 720 }, hasTouch: true, isMobile: true },
  ));

test('everything that can be pressed has a name, and motion can be reduced', () =>
  onPage(
    async (page) => {
      await ask(page, kStory);
      const nameless = await page.evaluate(() =>
        [...document.querySelectorAll('button, input, textarea, select, [role]')]
          .filter((element) => element.checkVisibility() && element.getAttribute('role') !== 'status')
          .filter((element) => {
            const label = element.getAttribute('aria-label') || element.textContent?.trim();
            return !label && !element.labels?.length;
          })
          .map((element) => element.outerHTML.slice(0, 120)),
      );
      assert.deepEqual(nameless, []);
      const moving = await page.evaluate(() => document.getAnimations().length);
      assert.equal(moving, 0);
      assert.equal(await page.locator('[style]').count(), 0, 'no style attributes');
    },
    { reducedMotion: 'reduce' },
  ));
