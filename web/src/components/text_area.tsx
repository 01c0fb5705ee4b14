// A text field that grows with its text. Enter is the main key, Shift+Enter a new line. While an
// input method composes (Japanese, Chinese, Korean), Enter belongs to it.
import { useLayoutEffect, useRef } from "preact/hooks";
import type { RefObject } from "preact";

interface Props {
  label: string;
  value: string;
  onInput: (value: string) => void;
  onEnter: () => void;
  onEscape?: () => void;
  onUp?: () => void;
  onPasteFiles?: (files: FileList) => void;
  placeholder?: string;
  focused?: boolean;
  field?: RefObject<HTMLTextAreaElement | null>;
}

export function TextArea(props: Props) {
  const own = useRef<HTMLTextAreaElement>(null);
  const field = props.field ?? own;
  useLayoutEffect(() => {
    const area = field.current!;
    area.rows = 1; // measured from one line up
    const line = parseFloat(getComputedStyle(area).lineHeight) || 24;
    area.rows = Math.max(1, Math.round((area.scrollHeight - 8) / line));
  }, [props.value]);
  // Before anything is painted: the next key already belongs here.
  useLayoutEffect(() => {
    if (!props.focused) return;
    field.current!.focus();
    field.current!.setSelectionRange(props.value.length, props.value.length);
  }, []);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      props.onEnter();
    } else if (event.key === "Escape" && props.onEscape) {
      event.preventDefault();
      props.onEscape();
    } else if (event.key === "ArrowUp" && props.value === "" && props.onUp) {
      event.preventDefault();
      props.onUp();
    }
  };
  return (
    <textarea
      ref={field}
      class="text-area"
      rows={1}
      aria-label={props.label}
      placeholder={props.placeholder}
      value={props.value}
      onInput={(event) => props.onInput(event.currentTarget.value)}
      onKeyDown={onKeyDown}
      onPaste={(event) => {
        const files = event.clipboardData?.files;
        if (files?.length && props.onPasteFiles) {
          event.preventDefault();
          props.onPasteFiles(files);
        }
      }}
    />
  );
}
