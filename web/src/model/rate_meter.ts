// Speed over time, from the count of tokens at moments.

const kWindowMs = 400;
const kMaxRates = 90;

export class RateMeter {
  private readonly rates: number[] = [];
  private windowStart: number | undefined;
  private countAtStart = 0;

  /** @param count tokens generated up to `now` (milliseconds) */
  add(now: number, count: number): void {
    if (this.windowStart === undefined) {
      this.windowStart = now;
      this.countAtStart = count;
      return;
    }
    const elapsed = now - this.windowStart;
    if (elapsed < kWindowMs) return;
    this.rates.push(((count - this.countAtStart) * 1000) / elapsed);
    if (this.rates.length > kMaxRates) this.rates.shift();
    this.windowStart = now;
    this.countAtStart = count;
  }

  /** Tokens per second of the latest windows, oldest first. */
  values(): number[] {
    return [...this.rates];
  }
}
