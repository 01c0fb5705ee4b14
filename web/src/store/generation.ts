// Replies in progress: sending, streaming into a message, stopping; retry and edit add branches. Any
// number of conversations may be answered at once, on show or not.
import { signal, type Signal } from "@preact/signals";
import { chatRequest } from "../api/request.ts";
import { MessageTree } from "../model/message_tree.ts";
import { ReplyBuilder, type PromptProgress } from "../model/reply.ts";
import type { Image, Message, ToolCall } from "../model/types.ts";
import {
  createConversation,
  currentId,
  currentPath,
  currentTree,
  messagesOf,
  newId,
  putMessages,
  savePartial,
} from "./conversations.ts";
import { notify } from "./notices.ts";
import { client, readSpeculation, watchServer } from "./server.ts";
import { chatSettings } from "./settings.ts";

/** A reply that is being written. */
export interface Run {
  /** The message as far as it is. */
  message: Signal<Message>;
  progress: Signal<PromptProgress | null>;
  started: number;
  builder: ReplyBuilder;
  abort: AbortController;
}

/** By conversation. */
export const runs = signal<ReadonlyMap<string, Run>>(new Map());

// How often what is on the way is written to the database.
const kSaveMs = 2000;

/** Sends what the user wrote, in the conversation on show or a new one. */
export async function send(text: string, images: Image[]): Promise<void> {
  const conversation = currentId.value ?? (await createConversation(text || "Image")).id;
  const parent = currentPath.value.at(-1)?.id ?? null;
  await say(conversation, parent, text, images);
}

/** Asks again with another text: a sibling of the edited message. */
export async function edit(message: Message, text: string): Promise<void> {
  await say(message.conversation, message.parent, text, message.images ?? []);
}

/** Another reply to the same message: a sibling of this one. */
export async function retry(message: Message): Promise<void> {
  await reply(message.conversation, message.parent);
}

/** Answers the tool calls of a reply, one text for each, and lets the model go on. */
export async function answerCalls(message: Message, results: Map<ToolCall, string>): Promise<void> {
  let parent = message.id;
  const answers: Message[] = [];
  for (const [call, text] of results) {
    const answer = newMessage(message.conversation, parent, "tool", text);
    answer.toolCallId = call.id;
    // In order even when several are made within a millisecond.
    answer.created += answers.length;
    answers.push(answer);
    parent = answer.id;
  }
  await putMessages(answers, parent);
  await reply(message.conversation, parent);
}

export function stop(conversation: string | null): void {
  if (conversation !== null) runs.value.get(conversation)?.abort.abort();
}

/** Lets the model stop thinking and answer. */
export async function endThinking(run: Run): Promise<void> {
  try {
    const done = await client.endReasoning(run.builder.completionId);
    if (!done) notify("The model is not thinking any more.");
  } catch (error) {
    notify(sentenceOf(error));
  }
}

async function say(
  conversation: string,
  parent: string | null,
  text: string,
  images: Image[],
): Promise<void> {
  if (runs.value.has(conversation)) return;
  const message = newMessage(conversation, parent, "user", text);
  if (images.length > 0) message.images = images;
  await putMessages([message], message.id);
  await reply(conversation, message.id);
}

function newMessage(
  conversation: string,
  parent: string | null,
  role: Message["role"],
  content: string,
): Message {
  return {
    id: newId(),
    conversation,
    parent,
    role,
    content,
    created: Date.now(),
    state: role === "assistant" ? "streaming" : "done",
  };
}

async function reply(conversation: string, parent: string | null): Promise<void> {
  if (runs.value.has(conversation)) return;
  const tree =
    conversation === currentId.value
      ? currentTree.value
      : new MessageTree(await messagesOf(conversation));
  const path = tree.path(parent);
  const message = newMessage(conversation, parent, "assistant", "");
  const run: Run = {
    message: signal(message),
    progress: signal(null),
    started: performance.now(),
    builder: new ReplyBuilder(performance.now()),
    abort: new AbortController(),
  };
  setRun(conversation, run);
  await putMessages([message], message.id);
  const end = await stream(run, chatRequest(path, chatSettings.value));
  const final: Message = { ...run.message.value, ...run.builder.snapshot(), ...end };
  await putMessages([final]);
  setRun(conversation, null);
  void readSpeculation();
}

function setRun(conversation: string, run: Run | null): void {
  const changed = new Map(runs.value);
  if (run) changed.set(conversation, run);
  else changed.delete(conversation);
  runs.value = changed;
}

/** Reads the reply to its end, whatever end that is. */
async function stream(run: Run, body: unknown): Promise<Partial<Message>> {
  const { builder } = run;
  const painter = new Painter(() => {
    run.progress.value = builder.progress;
    run.message.value = { ...run.message.value, ...builder.snapshot() };
  });
  let saved = performance.now();
  try {
    for await (const chunk of client.chat(body, run.abort.signal)) {
      const now = performance.now();
      builder.add(chunk, now);
      painter.request();
      if (now - saved > kSaveMs) {
        saved = now;
        void savePartial({ ...run.message.value, ...builder.snapshot() });
      }
    }
    const state = builder.finish(performance.now());
    if (state !== "stopped") return { state };
    return { state: "error", error: "The connection ended before the reply did." };
  } catch (error) {
    builder.finish(performance.now());
    if (run.abort.signal.aborted) return { state: "stopped" };
    void watchServer();
    return { state: "error", error: sentenceOf(error) };
  } finally {
    painter.cancel();
  }
}

/** Runs a function at most once per frame, and now and then where no frames are shown. */
class Painter {
  private pending: ReturnType<typeof setTimeout> | undefined;
  private frame: number | undefined;

  constructor(private readonly paint: () => void) {}

  request(): void {
    if (this.pending !== undefined || this.frame !== undefined) return;
    if (document.hidden) this.pending = setTimeout(() => this.run(), 250);
    else this.frame = requestAnimationFrame(() => this.run());
  }

  cancel(): void {
    clearTimeout(this.pending);
    if (this.frame !== undefined) cancelAnimationFrame(this.frame);
    this.pending = this.frame = undefined;
  }

  private run(): void {
    this.cancel();
    this.paint();
  }
}

export function sentenceOf(error: unknown): string {
  if (error instanceof TypeError) return "The server cannot be reached.";
  return error instanceof Error ? error.message : String(error);
}
