// Server-sent events from a byte stream (WHATWG HTML, "Server-sent events"), for POST requests,
// which the browser's EventSource cannot make. Bytes may be cut anywhere: inside a character, a
// line end or a record.

export interface SseRecord {
  /** "message" unless the record names another. */
  event: string;
  data: string;
}

// A line that never ends must not fill the memory.
const kMaxLineLength = 16 << 20;

export class SseParser {
  private readonly decoder = new TextDecoder("utf-8");
  private line = "";
  private event = "";
  private data: string[] = [];
  private afterCarriageReturn = false;

  /** Records that these bytes completed. Comments (pings) give none. Throws on an endless line. */
  push(bytes: Uint8Array): SseRecord[] {
    const records: SseRecord[] = [];
    let text = this.decoder.decode(bytes, { stream: true });
    if (text === "") return records;
    if (this.afterCarriageReturn && text[0] === "\n") text = text.slice(1);
    this.afterCarriageReturn = text.endsWith("\r");
    const lines = text.split(/\r\n|\r|\n/);
    for (let i = 0; i < lines.length; ++i) {
      this.line += lines[i]!;
      if (this.line.length > kMaxLineLength) throw new Error("The server sent a line without end.");
      if (i + 1 === lines.length) break; // the rest of it is still to come
      const record = this.endLine();
      if (record) records.push(record);
    }
    return records;
  }

  private endLine(): SseRecord | undefined {
    const line = this.line;
    this.line = "";
    if (line === "") return this.endRecord();
    const colon = line.indexOf(":");
    if (colon === 0) return undefined;
    const field = colon === -1 ? line : line.slice(0, colon);
    let value = colon === -1 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "data") this.data.push(value);
    else if (field === "event") this.event = value;
    return undefined;
  }

  private endRecord(): SseRecord | undefined {
    const { event, data } = this;
    this.event = "";
    this.data = [];
    if (data.length === 0) return undefined;
    return { event: event || "message", data: data.join("\n") };
  }
}

/** The records of a response's body, one after the other. Ends with the body. */
export async function* readSse(body: ReadableStream<Uint8Array>): AsyncGenerator<SseRecord> {
  const parser = new SseParser();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(value);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
