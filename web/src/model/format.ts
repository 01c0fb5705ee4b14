// Numbers and times as the page writes them. English throughout, like the rest of the page.

export function formatCount(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

export function formatPercent(share: number): string {
  const percent = share * 100;
  return `${percent >= 99.95 || percent < 0.05 ? percent.toFixed(0) : percent.toFixed(percent >= 10 ? 0 : 1)} %`;
}

export function formatRate(perSecond: number): string {
  return `${perSecond < 100 ? perSecond.toFixed(1) : formatCount(perSecond)} tok/s`;
}

export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

/** "today", "yesterday", "in the last week", "earlier": the headings of the list. */
export function agePeriod(time: number, now: number): string {
  const day = 24 * 3600 * 1000;
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  if (time >= midnight) return "Today";
  if (time >= midnight - day) return "Yesterday";
  if (time >= midnight - 7 * day) return "Last seven days";
  return "Earlier";
}

/** A title from a first message: its first line, cut at a word. */
export function titleFrom(text: string): string {
  const line = text.trim().split(/\n/)[0]?.replace(/\s+/g, " ").replace(/^[#>*\-\s]+/, "") ?? "";
  if (line.length <= 60) return line || "New chat";
  const cut = line.slice(0, 60);
  const space = cut.lastIndexOf(" ");
  return `${cut.slice(0, space > 30 ? space : 60)}…`;
}
