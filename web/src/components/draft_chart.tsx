// Bars of shares, such as how often the draft at each position was accepted, and a line of speed over
// time. Plain SVG with attributes only: the page's policy allows no style attributes.
import { formatPercent } from "../model/format.ts";

const kBarWidth = 26;
const kGap = 8;
const kHeight = 72;
const kMaxBars = 16;

interface ShareChartProps {
  /** Each 0 to 1. */
  shares: number[];
  /** What they are shares of, for screen readers. */
  label: string;
  /** The number below the first bar. */
  first: number;
}

export function ShareChart({ shares, label, first }: ShareChartProps) {
  const bars = shares.slice(0, kMaxBars);
  if (bars.length === 0) return null;
  const width = bars.length * (kBarWidth + kGap);
  const spoken = bars.map((share, i) => `${i + first}: ${formatPercent(share)}`).join(", ");
  return (
    <svg
      class="draft-chart"
      viewBox={`0 0 ${width} ${kHeight + 30}`}
      width={width}
      height={kHeight + 30}
      role="img"
      aria-label={`${label}. ${spoken}`}
    >
      {bars.map((share, i) => {
        const x = i * (kBarWidth + kGap) + kGap / 2;
        const height = Math.max(2, share * kHeight);
        return (
          <g key={i}>
            <rect class="bar-room" x={x} y={14} width={kBarWidth} height={kHeight} rx={5} />
            <rect class="bar" x={x} y={14 + kHeight - height} width={kBarWidth} height={height} rx={5} />
            <text class="bar-value" x={x + kBarWidth / 2} y={10}>
              {Math.round(share * 100)}
            </text>
            <text class="bar-name" x={x + kBarWidth / 2} y={kHeight + 28}>
              {i + first}
            </text>
          </g>
        );
      })}
    </svg>
  );
}

/** How often the draft at each position was kept. */
export function DraftChart({ shares }: { shares: number[] }) {
  return <ShareChart shares={shares} label="Accepted drafts by position" first={1} />;
}

/** @param rates tokens per second, oldest first */
export function RateLine({ rates }: { rates: number[] }) {
  if (rates.length < 2) return null;
  const top = Math.max(...rates) * 1.1 || 1;
  const points = rates
    .map((rate, i) => `${(i * 240) / (rates.length - 1)},${(44 - (rate / top) * 40).toFixed(1)}`)
    .join(" ");
  return (
    <svg class="rate-line" viewBox="0 0 240 46" preserveAspectRatio="none" aria-hidden="true">
      <polygon points={`0,46 ${points} 240,46`} />
      <polyline points={points} />
    </svg>
  );
}
