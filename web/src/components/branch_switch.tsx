// Steps between a message and its siblings: "‹ 2 / 3 ›". Nothing when there is only one.
import { useComputed } from "@preact/signals";
import type { Message } from "../model/types.ts";
import { currentTree, showBranch } from "../store/conversations.ts";
import { IconButton } from "./icons.tsx";

interface Props {
  message: Message;
  siblings: Message[];
  disabled: boolean;
}

export function BranchSwitch({ message, siblings, disabled }: Props) {
  const tree = useComputed(() => currentTree.value);
  if (siblings.length < 2) return null;
  const at = siblings.findIndex((sibling) => sibling.id === message.id);
  const step = (by: -1 | 1) => {
    const leaf = tree.value.neighbour(message.id, by);
    if (leaf !== null) void showBranch(leaf);
  };
  return (
    <span class="branch-switch" role="group" aria-label="Versions of this message">
      <IconButton icon="left" label="Earlier version" disabled={disabled || at === 0} onClick={() => step(-1)} />
      <span class="branch-count">
        {at + 1} / {siblings.length}
      </span>
      <IconButton
        icon="right"
        label="Later version"
        disabled={disabled || at === siblings.length - 1}
        onClick={() => step(1)}
      />
    </span>
  );
}
