import assert from "node:assert/strict";
import { test } from "node:test";
import { chatRequest, kDefaultChatSettings, toolsProblem } from "../src/api/request.ts";
import { exportText, importText } from "../src/model/transfer.ts";
import { titleFrom } from "../src/model/format.ts";
import type { Conversation, Message } from "../src/model/types.ts";

const base = { conversation: "c", created: 1, state: "done" } as const;
const user: Message = { ...base, id: "1", parent: null, role: "user", content: "Hi" };
const assistant: Message = {
  ...base,
  id: "2",
  parent: "1",
  role: "assistant",
  content: "Hello",
  reasoning: "A greeting.",
  toolCalls: [
    { id: "a", name: "f", arguments: '{"x":1}' },
    { id: "b", name: "g", arguments: '{"x":' },
  ],
};
const tool: Message = { ...base, id: "3", parent: "2", role: "tool", content: "42", toolCallId: "a" };

test("empty settings leave the server's defaults alone", () => {
  const body = chatRequest([user], kDefaultChatSettings);
  assert.deepEqual(Object.keys(body).sort(), [
    "messages",
    "reasoning_control",
    "return_progress",
    "stream",
    "stream_options",
    "timings_per_token",
  ]);
});

test("a branch goes out with its thinking, whole calls and results", () => {
  const { messages } = chatRequest([user, assistant, tool], {
    ...kDefaultChatSettings,
    systemPrompt: "Be kind.",
  });
  assert.deepEqual(messages, [
    { role: "system", content: "Be kind." },
    { role: "user", content: "Hi" },
    {
      role: "assistant",
      content: "Hello",
      reasoning_content: "A greeting.",
      tool_calls: [{ id: "a", type: "function", function: { name: "f", arguments: '{"x":1}' } }],
    },
    { role: "tool", tool_call_id: "a", content: "42" },
  ]);
});

test("pictures become parts in front of the text", () => {
  const seen: Message = { ...user, images: [{ name: "p", url: "data:image/png;base64,AA==" }] };
  const [message] = chatRequest([seen], kDefaultChatSettings).messages as { content: unknown }[];
  assert.deepEqual(message?.content, [
    { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
    { type: "text", text: "Hi" },
  ]);
});

test("speculation off is a bound of zero drafts; a chosen bound is sent", () => {
  const off = chatRequest([user], { ...kDefaultChatSettings, speculation: false, draftMax: 4 });
  assert.equal(off["speculative.n_max"], 0);
  const four = chatRequest([user], { ...kDefaultChatSettings, draftMax: 4 });
  assert.equal(four["speculative.n_max"], 4);
});

test("tools that are wrong are explained and left out", () => {
  assert.equal(toolsProblem(" "), undefined);
  assert.equal(toolsProblem('[{"function":{"name":"f"}}]'), undefined);
  assert.match(toolsProblem("{}")!, /array/);
  assert.match(toolsProblem("[1]")!, /Tool 1/);
  assert.match(toolsProblem("[null]")!, /Tool 1/);
  assert.match(toolsProblem("[")!, /Not JSON/);
  const body = chatRequest([user], { ...kDefaultChatSettings, tools: "[" });
  assert.equal("tools" in body, false);
});

const conversation: Conversation = {
  id: "c",
  title: "T",
  named: true,
  created: 1,
  updated: 2,
  leaf: "3",
};

test("what is exported is imported as it was", () => {
  const drafted: Message = { ...assistant, contentDrafts: [0, 2], reasoningDrafts: [] };
  const empty = { contentDrafts: [], reasoningDrafts: [] };
  const stored = [{ conversation, messages: [{ ...user, ...empty }, drafted, { ...tool, ...empty }] }];
  assert.deepEqual(importText(exportText(stored)), stored);
});

test("a strange file is refused in a sentence, and strange fields are dropped", () => {
  assert.throws(() => importText("{"), /not JSON/);
  assert.throws(() => importText("[]"), /holds no chats/);
  const file = (message: object, id = "c") =>
    JSON.stringify({
      format: "foretoken-chats",
      conversations: [{ conversation: { ...conversation, id }, messages: [{ ...user, ...message }] }],
    });
  assert.throws(() => importText(file({ role: "system" })), /unknown role/);
  assert.throws(() => importText(file({ id: "../x" })), /malformed id/);
  assert.throws(() => importText(file({}, "")), /malformed id/);
  const [chat] = importText(
    file({
      contentDrafts: [0, 9],
      images: [{ name: "x", url: "https://elsewhere.example/x.png" }],
      surprise: 1,
      state: "streaming",
    }),
  );
  const message = chat!.messages[0]!;
  assert.deepEqual(message.contentDrafts, [], "beyond the text");
  assert.deepEqual(message.images, [], "would be fetched");
  assert.equal("surprise" in message, false);
  assert.equal(message.state, "done");
});

test("titles are first lines, cut at a word", () => {
  assert.equal(titleFrom("  # Hello\nworld"), "Hello");
  assert.equal(titleFrom(""), "New chat");
  const long = titleFrom("word ".repeat(40));
  assert.ok(long.length <= 61 && long.endsWith("word…"), long);
});
