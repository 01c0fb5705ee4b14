// Messages form a tree: editing or retrying adds a sibling instead of replacing anything. What is on
// show is the path from a first message down to the conversation's leaf.
import type { Message } from "./types.ts";

export class MessageTree {
  private readonly byId = new Map<string, Message>();
  private readonly childrenOf = new Map<string | null, Message[]>();

  /** Messages whose parent is missing hang at the top, so that nothing stored is ever hidden. */
  constructor(messages: Iterable<Message>) {
    for (const message of messages) this.byId.set(message.id, message);
    for (const message of this.byId.values()) this.linkToParent(message);
    for (const siblings of this.childrenOf.values()) siblings.sort(byAge);
  }

  private linkToParent(message: Message): void {
    const parent = this.effectiveParent(message);
    const siblings = this.childrenOf.get(parent);
    if (siblings) siblings.push(message);
    else this.childrenOf.set(parent, [message]);
  }

  private effectiveParent(message: Message): string | null {
    return message.parent !== null && this.byId.has(message.parent) ? message.parent : null;
  }

  get size(): number {
    return this.byId.size;
  }

  get(id: string): Message | undefined {
    return this.byId.get(id);
  }

  all(): Message[] {
    return [...this.byId.values()];
  }

  /** Children, oldest first; of null: the first messages. */
  children(id: string | null): Message[] {
    return this.childrenOf.get(id) ?? [];
  }

  /** From a first message down to `leaf`. A loop in damaged data ends the walk. */
  path(leaf: string | null): Message[] {
    const path: Message[] = [];
    const seen = new Set<string>();
    let message = leaf === null ? undefined : this.byId.get(leaf);
    while (message && !seen.has(message.id)) {
      seen.add(message.id);
      path.push(message);
      message = message.parent === null ? undefined : this.byId.get(message.parent);
    }
    return path.reverse();
  }

  /** The message among those with the same parent and role side: itself included, oldest first. */
  siblings(id: string): Message[] {
    const message = this.byId.get(id);
    return message ? this.children(this.effectiveParent(message)) : [];
  }

  /** The end of the branch below a message, following the newest child each time. */
  newestLeaf(id: string): string {
    const seen = new Set<string>();
    let at = id;
    while (!seen.has(at)) {
      seen.add(at);
      const newest = this.children(at).at(-1);
      if (!newest) return at;
      at = newest.id;
    }
    return at;
  }

  /** The leaf to show after stepping from a message to a neighbouring sibling; null at the ends. */
  neighbour(id: string, step: -1 | 1): string | null {
    const siblings = this.siblings(id);
    const target = siblings[siblings.findIndex((sibling) => sibling.id === id) + step];
    return target ? this.newestLeaf(target.id) : null;
  }

  /** A message and everything below it, parents first. */
  subtree(id: string): Message[] {
    const root = this.byId.get(id);
    const found: Message[] = root ? [root] : [];
    const seen = new Set<string>([id]);
    for (let i = 0; i < found.length; ++i) {
      for (const child of this.children(found[i]!.id)) {
        if (seen.has(child.id)) continue;
        seen.add(child.id);
        found.push(child);
      }
    }
    return found;
  }

  /** The leaf to show once a message and all below it are gone; null: nothing is left. */
  leafWithout(id: string): string | null {
    const siblings = this.siblings(id);
    const at = siblings.findIndex((sibling) => sibling.id === id);
    const other = siblings[at - 1] ?? siblings[at + 1];
    if (other) return this.newestLeaf(other.id);
    return this.byId.get(id)?.parent ?? null;
  }
}

function byAge(a: Message, b: Message): number {
  return a.created - b.created || (a.id < b.id ? -1 : 1);
}
