// A modal dialog: the browser's own, which keeps the focus inside and closes on Escape.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Signal } from "@preact/signals";

interface Props {
  open: Signal<boolean>;
  label: string;
  class: string;
  children: ComponentChildren;
}

export function Dialog({ open, label, children, ...rest }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open.value) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open.value]);
  return (
    <dialog
      ref={dialog}
      class={rest.class}
      aria-label={label}
      onClose={() => (open.value = false)}
      onClick={(event) => {
        // Only the backdrop has the dialog itself as its target.
        if (event.target === dialog.current) open.value = false;
      }}
    >
      {open.value && <div class="dialog-body">{children}</div>}
    </dialog>
  );
}
