// Before the first token: how far the prompt is, what of it came from the cache.
import { formatCount } from "../model/format.ts";
import type { PromptProgress } from "../model/reply.ts";

export function PromptProgressView({ progress }: { progress: PromptProgress | null }) {
  // A short prompt is through before a bar would be understood.
  if (!progress || progress.total - progress.cached < 256) {
    return (
      <p class="waiting">
        <span class="dots" aria-hidden="true">
          <i />
          <i />
          <i />
        </span>
        <span class="visually-hidden">Waiting for the reply</span>
      </p>
    );
  }
  const { processed, total, cached } = progress;
  return (
    <div class="prompt-progress">
      <progress max={total} value={processed} aria-label="Reading the prompt" />
      <span>
        Reading the prompt: {formatCount(processed)} of {formatCount(total)} tokens
        {cached > 0 && `, ${formatCount(cached)} from the cache`}
      </span>
    </div>
  );
}
