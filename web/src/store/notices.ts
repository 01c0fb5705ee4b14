// Short messages at the bottom edge, which go away by themselves, some with something to undo.
import { signal } from "@preact/signals";

export interface Notice {
  id: number;
  text: string;
  action?: { label: string; run: () => void };
}

export const notices = signal<Notice[]>([]);
let next = 1;
const kShownMs = 6000;

export function notify(text: string, action?: Notice["action"]): void {
  const notice: Notice = { id: next++, text, ...(action ? { action } : {}) };
  notices.value = [...notices.value.slice(-2), notice];
  setTimeout(() => dismiss(notice.id), kShownMs);
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}
