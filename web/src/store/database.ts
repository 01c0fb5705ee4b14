// Conversations in the browser's IndexedDB. Two stores: `conversations` with what the list shows,
// `messages` with everything said, found by conversation. Where the browser refuses storage (private
// windows of some), everything is kept in memory and `persistent` is false.
import type { Conversation, Message } from "../model/types.ts";

const kName = "foretoken";
const kVersion = 1;

export interface Database {
  readonly persistent: boolean;
  conversations(): Promise<Conversation[]>;
  messages(conversation: string): Promise<Message[]>;
  /** Messages of all conversations, one after the other; false from `visit` ends it. */
  eachMessage(visit: (message: Message) => boolean): Promise<void>;
  put(conversation: Conversation | null, messages: Message[]): Promise<void>;
  removeMessages(ids: string[]): Promise<void>;
  removeConversation(id: string): Promise<void>;
}

export async function openDatabase(): Promise<Database> {
  try {
    return new IndexedDatabase(await open());
  } catch {
    return new MemoryDatabase();
  }
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(kName, kVersion);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("conversations", { keyPath: "id" });
      request.result
        .createObjectStore("messages", { keyPath: "id" })
        .createIndex("conversation", "conversation");
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("another tab holds an older version"));
  });
}

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function completed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onerror = () => reject(transaction.error);
    transaction.onabort = () => reject(transaction.error);
  });
}

class IndexedDatabase implements Database {
  readonly persistent = true;

  constructor(private readonly database: IDBDatabase) {
    // Lets another tab with a newer page upgrade.
    database.onversionchange = () => database.close();
  }

  conversations(): Promise<Conversation[]> {
    return result(this.database.transaction("conversations").objectStore("conversations").getAll());
  }

  messages(conversation: string): Promise<Message[]> {
    const store = this.database.transaction("messages").objectStore("messages");
    return result(store.index("conversation").getAll(conversation));
  }

  eachMessage(visit: (message: Message) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const request = this.database.transaction("messages").objectStore("messages").openCursor();
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        const cursor = request.result;
        if (cursor && visit(cursor.value as Message)) cursor.continue();
        else resolve();
      };
    });
  }

  put(conversation: Conversation | null, messages: Message[]): Promise<void> {
    const transaction = this.database.transaction(["conversations", "messages"], "readwrite");
    if (conversation) transaction.objectStore("conversations").put(conversation);
    for (const message of messages) transaction.objectStore("messages").put(message);
    return completed(transaction);
  }

  removeMessages(ids: string[]): Promise<void> {
    const transaction = this.database.transaction("messages", "readwrite");
    for (const id of ids) transaction.objectStore("messages").delete(id);
    return completed(transaction);
  }

  removeConversation(id: string): Promise<void> {
    const transaction = this.database.transaction(["conversations", "messages"], "readwrite");
    transaction.objectStore("conversations").delete(id);
    const request = transaction.objectStore("messages").index("conversation").openKeyCursor(id);
    request.onsuccess = () => {
      const cursor = request.result;
      if (!cursor) return;
      transaction.objectStore("messages").delete(cursor.primaryKey);
      cursor.continue();
    };
    return completed(transaction);
  }
}

class MemoryDatabase implements Database {
  readonly persistent = false;
  private readonly conversationById = new Map<string, Conversation>();
  private readonly messageById = new Map<string, Message>();

  async conversations(): Promise<Conversation[]> {
    return [...this.conversationById.values()];
  }

  async messages(conversation: string): Promise<Message[]> {
    return [...this.messageById.values()].filter((m) => m.conversation === conversation);
  }

  async eachMessage(visit: (message: Message) => boolean): Promise<void> {
    for (const message of this.messageById.values()) if (!visit(message)) return;
  }

  async put(conversation: Conversation | null, messages: Message[]): Promise<void> {
    if (conversation) this.conversationById.set(conversation.id, conversation);
    for (const message of messages) this.messageById.set(message.id, message);
  }

  async removeMessages(ids: string[]): Promise<void> {
    for (const id of ids) this.messageById.delete(id);
  }

  async removeConversation(id: string): Promise<void> {
    this.conversationById.delete(id);
    for (const message of await this.messages(id)) this.messageById.delete(message.id);
  }
}
