// What needs replies, or failures, that only the mock gives.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { ask, composer, launch, picture, replies, replyText, send, settled, withPage }
  from './browser.mjs';
import { attack } from './mock_replies.mjs';
import { startMock } from './mock_server.mjs';

let browser;
let mock;
before(async () => {
  [browser, mock] = await Promise.all([launch(), startMock(process.env.WEB_DIST)]);
});
after(async () => {
  await browser?.close();
  await mock?.stop();
});
beforeEach(() => Object.assign(mock.state, { loading: false, key: '', vision: false, requests: [] }));
const onPage = (run, options = {}) => withPage(browser, mock.url, options, run);

test('HTML of the model is text: nothing runs, nothing is fetched', () =>
  onPage(async (page) => {
    const text = await ask(page, 'attack');
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    assert.match(text, /<script>window\.hacked = 1<\/script>/);
    assert.match(text, /<img src=x onerror="window\.hacked = 2">/);
    assert.match(text, /The end of the attack\./);
    const found = await page.locator('.markdown').evaluate((root) => ({
      tags: [...new Set([...root.querySelectorAll('*')].map((e) => e.tagName.toLowerCase()))],
      handlers: [...root.querySelectorAll('*')].flatMap((e) =>
        e.getAttributeNames().filter((name) => name.startsWith('on') || name === 'style')),
      links: [...root.querySelectorAll('a')].map((a) => [a.getAttribute('href'), a.rel, a.target]),
    }));
    for (const tag of ['script', 'img', 'iframe', 'style', 'svg', 'form', 'object', 'embed', 'video']) {
      assert.ok(!found.tags.includes(tag), tag);
    }
    assert.deepEqual(found.handlers, []);
    for (const [href, rel, target] of found.links) {
      assert.ok(href === null || /^https?:/.test(href), href);
      assert.match(rel, /noopener/);
      assert.equal(target, '_blank');
    }
    await page.reload();
    await page.getByText('The end of the attack.').waitFor();
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    await picture(page, 'attack');
  }));

test('HTML of the user and of a title is text, too', () =>
  onPage(async (page) => {
    await ask(page, attack);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    assert.match(await page.locator('.bubble').innerText(), /<script>/);
    assert.equal(await page.locator('.bubble *').count(), 0);
  }));

test('markdown and code are formatted, and code can be copied', () =>
  onPage(async (page) => {
    await ask(page, 'Show me code.');
    const reply = replies(page).last();
    await reply.getByRole('heading', { name: 'Reversing a string' }).waitFor();
    assert.ok((await reply.locator('pre .hljs-keyword').count()) >= 2);
    assert.equal(await reply.getByRole('row').count(), 3);
    const aligned = await reply.getByRole('cell', { name: '2.4×' }).evaluate((cell) =>
      getComputedStyle(cell).textAlign);
    assert.equal(aligned, 'right');
    assert.equal(await reply.getByRole('checkbox', { checked: true, disabled: true }).count(), 1);
    assert.equal(await reply.getByRole('checkbox', { checked: false, disabled: true }).count(), 1);
    assert.match(await reply.locator('.formula').innerText(), /O\(n\)/);
    assert.ok((await reply.locator('pre .draft').count()) > 0, 'code is tinted');
    await reply.getByRole('button', { name: 'Copy', exact: true }).click();
    await reply.getByRole('button', { name: 'Copied' }).waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(copied, /^def reverse\(text: str\) -> str:\n {4}"""/);
    assert.match(copied, /nekoterof$/);
    await picture(page, 'code-light');
    await page.emulateMedia({ colorScheme: 'dark' });
    await picture(page, 'code-dark');
  }));

test('tints mark exactly what the counters say', () =>
  onPage(async (page) => {
    await ask(page, 'one two three four five six seven');
    // Tokens: You| said: one two three| four| five six| seven. The rounds keep 3, 1, 2 drafts.
    const tinted = (await page.locator('.draft').allInnerTexts()).map((text) => text.trim());
    assert.deepEqual(tinted, ['said: one two', 'four', 'six seven']);
  }));

test('thinking is open while it lasts, folded after, and can be ended', () =>
  onPage(async (page) => {
    await send(page, 'think');
    await page.getByRole('button', { name: /^Thinking \d/ }).waitFor();
    await page.getByText('weigh').waitFor();
    await settled(page);
    const head = page.getByRole('button', { name: /^Thought for/ });
    assert.equal(await head.getAttribute('aria-expanded'), 'false');
    await head.click();
    await page.getByText('sides').waitFor();
    await picture(page, 'thinking');
    assert.equal(await replyText(page), 'You said: think');

    await send(page, 'think again');
    await page.getByRole('button', { name: 'Answer now' }).click();
    await settled(page);
    assert.equal(mock.state.ended.size, 1);
    // What was thought before goes back to the model with the conversation.
    const sent = mock.state.requests.at(-1).messages;
    assert.match(sent[1].reasoning_content, /^The user wants/);
  }));

test('tool calls are shown, answered by hand, and the model goes on', () =>
  onPage(async (page) => {
    await page.getByRole('button', { name: 'Settings' }).click();
    const tools = page.getByLabel(/^Functions the model may call/);
    await tools.fill('[{"type": "function"}]');
    await page.getByText('Tool 1 has no function.name.').waitFor();
    await tools.fill('[{"type":"function","function":{"name":"get_weather","parameters":{}}}]');
    await page.keyboard.press('Escape');
    await send(page, 'How is the weather?');
    await settled(page);
    const call = page.getByRole('region', { name: 'Call of get_weather' });
    assert.match(await call.innerText(), /Graz/);
    await picture(page, 'tool-call');
    await call.getByLabel('Result').fill('{"sky": "clear"}');
    await page.getByRole('button', { name: 'Send the result' }).click();
    await page.getByText('The tool said').waitFor();
    await settled(page);
    const sent = mock.state.requests.at(-1);
    assert.equal(sent.tools[0].function.name, 'get_weather');
    assert.deepEqual(sent.messages.at(-1), {
      role: 'tool', tool_call_id: 'call_1', content: '{"sky": "clear"}',
    });
    assert.equal(sent.messages.at(-2).tool_calls[0].function.arguments, '{"city": "Graz", "days": 2}');
    await picture(page, 'tool-result');
  }));

test('a long prompt shows how far it is', () =>
  onPage(async (page) => {
    await send(page, 'a long one');
    const bar = page.getByRole('progressbar');
    await bar.waitFor();
    await page.getByText(/Reading the prompt: [\d,]+ of 4,011 tokens/).waitFor();
    await picture(page, 'progress');
    await settled(page);
    assert.equal(await bar.count(), 0);
  }));

test('stopping closes the connection, and the page can be left meanwhile', () =>
  onPage(async (page) => {
    const before = mock.state.aborted;
    await send(page, 'slow');
    await page.getByText('tick tick').first().waitFor();
    // Another chat is opened and answered while the first goes on.
    await page.getByRole('button', { name: 'New chat' }).click();
    assert.equal(await ask(page, 'hello'), 'You said: hello');
    await page.getByRole('navigation').getByText('slow', { exact: true }).click();
    await page.getByText('tick tick').first().waitFor();
    await page.getByRole('button', { name: 'Stop (Esc)' }).click();
    await page.getByText('Stopped.').waitFor();
    await page.waitForTimeout(200);
    assert.equal(mock.state.aborted, before + 1);
  }));

test('a reload in the middle of a reply keeps what was there', () =>
  onPage(async (page) => {
    await send(page, 'slow');
    await page.getByText('tick tick').first().waitFor();
    await page.waitForTimeout(2600); // written every two seconds
    await page.reload();
    await page.getByText('tick tick').first().waitFor();
    await page.getByText('Stopped.').waitFor();
  }));

test('errors are sentences with a way on', () =>
  onPage(async (page) => {
    await send(page, 'overflow');
    await page.getByText('9001 tokens, and the model\'s context holds 8192').waitFor();
    await picture(page, 'error');
    await send(page, 'break');
    await page.getByText('The mock broke.').waitFor();
    assert.equal(await replyText(page), 'You said: break');
    await send(page, 'vanish');
    await page.getByText(/The connection ended|cannot be reached|network error/i).waitFor();
    await send(page, 'cut');
    await page.getByText('Cut at the limit of tokens.').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Try again' }).count(), 3);
  }));

test('a server that still loads is waited for', async () => {
  mock.state.loading = true;
  await onPage(async (page) => {
    await page.getByText('The model is being loaded.').waitFor();
    await picture(page, 'loading');
    mock.state.loading = false;
    await page.getByText('Chat with tiny-mock').waitFor();
  });
});

test('a server with a key asks for it', async () => {
  mock.state.key = 'secret';
  await onPage(async (page) => {
    await page.getByRole('button', { name: 'Enter it in the settings' }).click();
    await page.getByLabel('API key').fill('secret');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Escape');
    await page.getByText('Chat with tiny-mock').waitFor();
    assert.equal(await ask(page, 'hello'), 'You said: hello');
  });
});

const pixel = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

test('pictures are taken when the model sees, and only then', async () => {
  const drop = (page) =>
    page.evaluate((bytes) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([Uint8Array.from(bytes)], 'dot.png', { type: 'image/png' }));
      document.body.dispatchEvent(
        new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: transfer }));
    }, [...pixel]);
  await onPage(async (page) => {
    await page.getByText('Chat with tiny-mock').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Add a picture' }).count(), 0);
    await drop(page);
    await page.getByText('This model does not see pictures.').waitFor();
  });
  mock.state.vision = true;
  await onPage(async (page) => {
    await page.getByRole('button', { name: 'Add a picture' }).waitFor();
    await drop(page);
    await page.getByRole('img', { name: 'dot.png' }).waitFor();
    await send(page, 'What is this?');
    await settled(page);
    const [part, text] = mock.state.requests.at(-1).messages[0].content;
    assert.match(part.image_url.url, /^data:image\/png;base64,iVBOR/);
    assert.equal(text.text, 'What is this?');
    await page.reload();
    await page.getByRole('article', { name: 'You' }).getByRole('img', { name: 'dot.png' }).waitFor();
  });
});

test('a long conversation follows its end, until the reader scrolls away', () =>
  onPage(async (page) => {
    await ask(page, 'code');
    await ask(page, 'code');
    const thread = page.getByRole('region', { name: 'Conversation' });
    const fromEnd = () => thread.evaluate((t) => t.scrollHeight - t.scrollTop - t.clientHeight);
    assert.ok((await fromEnd()) < 4);
    await thread.evaluate((t) => t.scrollTo({ top: 0 }));
    const toEnd = page.getByRole('button', { name: 'To the end of the conversation' });
    await toEnd.waitFor();
    await toEnd.click();
    assert.ok((await fromEnd()) < 4);
    await composer(page).fill('x\n'.repeat(60));
    const field = await composer(page).evaluate((f) => f.clientHeight / innerHeight);
    assert.ok(field < 0.45, 'a long message leaves room');
  }));
