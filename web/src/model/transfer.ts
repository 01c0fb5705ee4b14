// Conversations as a file: what is exported, and how such a file is read back. A file may come from
// anywhere, so every field is checked and nothing but known fields is taken.
import type { Conversation, Image, Message, Ranges, Role, ToolCall } from "./types.ts";

const kFormat = "foretoken-chats";

interface Stored {
  conversation: Conversation;
  messages: Message[];
}

export function exportText(conversations: Stored[]): string {
  return JSON.stringify({ format: kFormat, version: 1, conversations }, null, 1);
}

/** Throws an Error with a sentence when the text is not an exported file. */
export function importText(text: string): Stored[] {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    throw new Error("This file is not JSON.");
  }
  if (!isObject(file) || file.format !== kFormat || !Array.isArray(file.conversations)) {
    throw new Error("This file holds no chats exported from this page.");
  }
  return file.conversations.map(readStored);
}

type Fields = Record<string, unknown>;

function isObject(value: unknown): value is Fields {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function readStored(value: unknown, index: number): Stored {
  if (!isObject(value) || !isObject(value.conversation) || !Array.isArray(value.messages)) {
    throw new Error(`Chat ${index + 1} of the file is damaged.`);
  }
  const from = value.conversation;
  const conversation: Conversation = {
    id: readId(from.id),
    title: readText(from.title) || "Imported chat",
    named: from.named === true,
    created: readTime(from.created),
    updated: readTime(from.updated),
    leaf: from.leaf === null ? null : readId(from.leaf),
  };
  return {
    conversation,
    messages: value.messages.map((message) => readMessage(message, conversation.id)),
  };
}

function readMessage(value: unknown, conversation: string): Message {
  if (!isObject(value)) throw new Error("A message of the file is damaged.");
  const role = value.role as Role;
  if (role !== "user" && role !== "assistant" && role !== "tool") {
    throw new Error("A message of the file has an unknown role.");
  }
  const message: Message = {
    id: readId(value.id),
    conversation,
    parent: value.parent === null ? null : readId(value.parent),
    role,
    content: readText(value.content),
    created: readTime(value.created),
    state: value.state === "stopped" || value.state === "length" ? value.state : "done",
  };
  if (typeof value.reasoning === "string") message.reasoning = value.reasoning;
  if (typeof value.model === "string") message.model = value.model;
  if (typeof value.toolCallId === "string") message.toolCallId = value.toolCallId;
  if (Array.isArray(value.toolCalls)) message.toolCalls = value.toolCalls.map(readCall);
  if (Array.isArray(value.images)) message.images = value.images.flatMap(readImage);
  message.contentDrafts = readRanges(value.contentDrafts, message.content.length);
  message.reasoningDrafts = readRanges(value.reasoningDrafts, message.reasoning?.length ?? 0);
  return message;
}

function readId(value: unknown): string {
  if (typeof value !== "string" || !/^[\w-]{1,64}$/.test(value)) {
    throw new Error("The file has a malformed id.");
  }
  return value;
}

function readText(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function readTime(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

function readCall(value: unknown): ToolCall {
  const call = isObject(value) ? value : {};
  return { id: readText(call.id), name: readText(call.name), arguments: readText(call.arguments) };
}

// Only pictures that are in the file: an address would be fetched when shown.
function readImage(value: unknown): Image[] {
  if (!isObject(value) || !/^data:image\/[\w.+-]+;base64,/.test(readText(value.url))) return [];
  return [{ name: readText(value.name), url: readText(value.url) }];
}

function readRanges(value: unknown, length: number): Ranges {
  if (!Array.isArray(value) || value.length % 2 !== 0) return [];
  let last = 0;
  for (const [i, bound] of value.entries()) {
    if (!Number.isInteger(bound) || bound < last || bound > length) return [];
    if (i % 2 === 1 && bound === last) return [];
    last = bound as number;
  }
  return value as Ranges;
}
