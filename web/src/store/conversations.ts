// The conversations, the one on show, and every change to them. The database is the truth; the
// signals hold what is on the screen.
import { computed, signal } from "@preact/signals";
import { titleFrom } from "../model/format.ts";
import { MessageTree } from "../model/message_tree.ts";
import type { Conversation, Message } from "../model/types.ts";
import { openDatabase, type Database } from "./database.ts";
import { notify } from "./notices.ts";

export const conversations = signal<Conversation[]>([]);
/** The conversation on show; null: a new one that nothing was said in. */
export const currentId = signal<string | null>(null);
export const currentMessages = signal<Message[]>([]);

export const currentConversation = computed(
  () => conversations.value.find((conversation) => conversation.id === currentId.value) ?? null,
);
export const currentTree = computed(() => new MessageTree(currentMessages.value));
export const currentPath = computed(() =>
  currentTree.value.path(currentConversation.value?.leaf ?? null),
);

let database: Database;

export async function loadConversations(): Promise<void> {
  database = await openDatabase();
  if (!database.persistent) notify("This browser keeps nothing here: chats end with the page.");
  conversations.value = sorted(await database.conversations());
  window.addEventListener("hashchange", () => void openFromAddress());
  await openFromAddress();
}

/** The address names the conversation: reload and the back button work. */
async function openFromAddress(): Promise<void> {
  const id = /^#\/c\/([\w-]+)$/.exec(location.hash)?.[1] ?? null;
  const known = conversations.value.some((conversation) => conversation.id === id);
  await show(known ? id : null);
}

async function show(id: string | null): Promise<void> {
  if (id === currentId.value && id !== null) return;
  const messages = id === null ? [] : await database.messages(id);
  currentMessages.value = messages;
  currentId.value = id;
}

export async function openConversation(id: string | null): Promise<void> {
  const address = id === null ? "#/" : `#/c/${id}`;
  if (location.hash !== address) history.pushState(null, "", address);
  await show(id);
}

export function newId(): string {
  // randomUUID exists only on https and localhost; a server in the home network has neither.
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function createConversation(firstText: string): Promise<Conversation> {
  const now = Date.now();
  const conversation: Conversation = {
    id: newId(),
    title: titleFrom(firstText),
    named: false,
    created: now,
    updated: now,
    leaf: null,
  };
  await database.put(conversation, []);
  conversations.value = sorted([...conversations.value, conversation]);
  await openConversation(conversation.id);
  return conversation;
}

/** Adds or replaces messages. With `leaf` the branch on show ends there afterwards. */
export async function putMessages(messages: Message[], leaf?: string): Promise<void> {
  const id = messages[0]?.conversation;
  if (id === undefined) return;
  if (id === currentId.value) {
    const changed = new Map(messages.map((message) => [message.id, message]));
    currentMessages.value = [
      ...currentMessages.value.map((message) => {
        const replacement = changed.get(message.id);
        changed.delete(message.id);
        return replacement ?? message;
      }),
      ...changed.values(),
    ];
  }
  const conversation = changeConversation(id, {
    updated: Date.now(),
    ...(leaf === undefined ? {} : { leaf }),
  });
  await database.put(conversation, messages);
}

/** Writes a message that is still growing, without touching the screen. */
export async function savePartial(message: Message): Promise<void> {
  await database.put(null, [message]);
}

function changeConversation(id: string, change: Partial<Conversation>): Conversation | null {
  const known = conversations.value.find((conversation) => conversation.id === id);
  if (!known) return null;
  const changed = { ...known, ...change };
  conversations.value = sorted(
    conversations.value.map((conversation) => (conversation.id === id ? changed : conversation)),
  );
  return changed;
}

export async function showBranch(leaf: string | null): Promise<void> {
  if (currentId.value === null) return;
  await database.put(changeConversation(currentId.value, { leaf }), []);
}

export async function renameConversation(id: string, title: string): Promise<void> {
  const text = title.trim();
  if (text === "") return;
  await database.put(changeConversation(id, { title: text, named: true }), []);
}

/** Messages of any conversation, on show or not. */
export function messagesOf(id: string): Promise<Message[]> {
  return database.messages(id);
}

export async function deleteConversation(id: string): Promise<void> {
  const conversation = conversations.value.find((known) => known.id === id);
  if (!conversation) return;
  const messages = await database.messages(id);
  await database.removeConversation(id);
  conversations.value = conversations.value.filter((known) => known.id !== id);
  if (currentId.value === id) await openConversation(null);
  notify(`Deleted “${conversation.title}”.`, {
    label: "Undo",
    run: () => void restore([{ conversation, messages }]),
  });
}

/** Deletes a message with everything below it, on the conversation on show. */
export async function deleteMessage(id: string): Promise<void> {
  const tree = currentTree.value;
  const gone = tree.subtree(id);
  const conversation = currentConversation.value;
  if (!conversation || gone.length === 0) return;
  const before = conversation.leaf;
  const ids = new Set(gone.map((message) => message.id));
  const leaf = tree.leafWithout(id);
  currentMessages.value = currentMessages.value.filter((message) => !ids.has(message.id));
  await database.removeMessages([...ids]);
  await database.put(changeConversation(conversation.id, { leaf }), []);
  notify(gone.length === 1 ? "Message deleted." : `${gone.length} messages deleted.`, {
    label: "Undo",
    run: () => void putMessages(gone, before ?? undefined),
  });
}

export interface StoredConversation {
  conversation: Conversation;
  messages: Message[];
}

/** Puts whole conversations in place, replacing those of the same id. */
export async function restore(stored: StoredConversation[]): Promise<void> {
  for (const { conversation, messages } of stored) await database.put(conversation, messages);
  conversations.value = sorted(await database.conversations());
  if (currentId.value !== null) currentMessages.value = await database.messages(currentId.value);
}

export async function everything(): Promise<StoredConversation[]> {
  const all: StoredConversation[] = [];
  for (const conversation of conversations.value) {
    all.push({ conversation, messages: await database.messages(conversation.id) });
  }
  return all;
}

export interface Found {
  conversation: Conversation;
  /** The words around the match; "" when the title matched. */
  excerpt: string;
}

const kMaxFound = 50;

/** Conversations whose title or any message holds the text, newest first. */
export async function search(text: string): Promise<Found[]> {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") {
    return conversations.value.map((conversation) => ({ conversation, excerpt: "" }));
  }
  const excerpts = new Map<string, string>();
  for (const { id, title } of conversations.value) {
    if (title.toLowerCase().includes(wanted)) excerpts.set(id, "");
  }
  await database.eachMessage((message) => {
    if (!excerpts.has(message.conversation)) {
      const at = message.content.toLowerCase().indexOf(wanted);
      if (at !== -1) {
        const start = Math.max(0, at - 40);
        const cut = message.content.slice(start, at + wanted.length + 60).replace(/\s+/g, " ");
        excerpts.set(message.conversation, `${start > 0 ? "…" : ""}${cut}`);
      }
    }
    return true;
  });
  return conversations.value
    .filter((conversation) => excerpts.has(conversation.id))
    .slice(0, kMaxFound)
    .map((conversation) => ({ conversation, excerpt: excerpts.get(conversation.id) ?? "" }));
}

function sorted(list: Conversation[]): Conversation[] {
  return [...list].sort((a, b) => b.updated - a.updated);
}
