// The conversation on show. It follows a growing reply for as long as its end is in view.
import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { currentId, currentPath, currentTree } from "../store/conversations.ts";
import { runs } from "../store/generation.ts";
import { tintDrafts } from "../store/settings.ts";
import { AssistantMessage } from "./assistant_message.tsx";
import { Icon } from "./icons.tsx";
import { ToolMessage } from "./tool_message.tsx";
import { UserMessage } from "./user_message.tsx";
import { Welcome } from "./welcome.tsx";

const kNearEnd = 80;

export function Thread() {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const away = useSignal(false);
  const path = currentPath.value;
  const run = currentId.value === null ? undefined : runs.value.get(currentId.value);

  const toEnd = () => {
    following.current = true;
    away.value = false;
    scroller.current?.scrollTo({ top: scroller.current.scrollHeight });
  };
  // Another conversation, or something new said: to its end.
  useLayoutEffect(toEnd, [currentId.value, path.length]);
  useEffect(() => {
    const grown = new ResizeObserver(() => {
      if (following.current) toEnd();
    });
    if (content.current) grown.observe(content.current);
    return () => grown.disconnect();
  }, []);

  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = scroller.current!;
    following.current = scrollHeight - scrollTop - clientHeight < kNearEnd;
    away.value = !following.current;
  };
  return (
    <div class="thread-frame">
      <div
        class={`thread ${tintDrafts.value ? "tinted" : ""}`}
        ref={scroller}
        onScroll={onScroll}
        tabIndex={0}
        role="region"
        aria-label="Conversation"
      >
        <div class="thread-content" ref={content}>
          {path.length === 0 && <Welcome />}
          {path.map((message) => {
            const siblings = currentTree.value.siblings(message.id);
            if (message.role === "user") {
              return <UserMessage key={message.id} message={message} siblings={siblings} />;
            }
            if (message.role === "tool") return <ToolMessage key={message.id} message={message} path={path} />;
            const writing = run?.message.peek().id === message.id ? run : undefined;
            const last = message === path.at(-1);
            return (
              <AssistantMessage key={message.id} {...{ message, siblings, last }} run={writing} />
            );
          })}
        </div>
      </div>
      {away.value && (
        <button type="button" class="to-end" onClick={toEnd} aria-label="To the end of the conversation">
          <Icon name="down" />
        </button>
      )}
    </div>
  );
}
