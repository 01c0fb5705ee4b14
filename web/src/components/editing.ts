// Which message is being edited; null: none.
import { signal } from "@preact/signals";

export const editing = signal<string | null>(null);
