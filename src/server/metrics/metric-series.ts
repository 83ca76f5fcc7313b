import type { Labels } from "../metrics.ts";
import { type MetricDefinition, SECONDS } from "./metric-catalogue.ts";

/** One line of a metric, or all lines of a histogram. */
interface Series {
  labels: Labels;
  /** Counter and gauge: the value. Histogram: the sum of all values. */
  sum: number;
  /** Histogram: values per bucket, the last one being those over every bound: (bounds + 1). */
  buckets: number[];
}

/** Series of one metric at most: whoever finds a label with endless values must not find endless memory. */
const MOST_SERIES = 2000;

/** All series of one metric. */
export class MetricSeries {
  readonly definition: MetricDefinition;
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, Series>();

  constructor(definition: MetricDefinition) {
    this.definition = definition;
    this.#bounds = definition.type === "histogram" ? (definition.buckets ?? SECONDS) : [];
  }

  add(labels: Labels, by: number): void {
    const series = this.#find(labels);
    if (series !== undefined) series.sum += by;
  }

  set(labels: Labels, value: number): void {
    const series = this.#find(labels);
    if (series !== undefined) series.sum = value;
  }

  observe(labels: Labels, value: number): void {
    const series = this.#find(labels);
    if (series === undefined) return;
    const bucket = this.#bounds.findIndex((bound) => value <= bound);
    series.buckets[bucket === -1 ? this.#bounds.length : bucket]! += 1;
    series.sum += value;
  }

  /** The sum of all series. */
  total(): number {
    let total = 0;
    for (const { sum } of this.#series.values()) total += sum;
    return total;
  }

  /**
   * The same metric with fewer, and other, labels: what differs in nothing else is added up.
   * @param only values that a label must have
   */
  grouped(
    keep: Readonly<Record<string, string>>,
    only: Readonly<Record<string, readonly string[]>> = {},
  ): MetricSeries {
    const grouped = new MetricSeries(this.definition);
    for (const { labels, sum, buckets } of this.#series.values()) {
      if (Object.entries(only).some(([label, values]) => !values.includes(labels[label] ?? ""))) continue;
      const kept = Object.entries(keep).flatMap(([from, to]) => {
        const value = labels[from];
        return value === undefined ? [] : [[to, value] as const];
      });
      const series = grouped.#find(Object.fromEntries(kept));
      if (series === undefined) continue;
      series.sum += sum;
      for (const [index, count] of buckets.entries()) series.buckets[index]! += count;
    }
    return grouped;
  }

  /** Lines of the text format 0.0.4, with HELP and TYPE; nothing for a metric without series. */
  print(name: string, type: MetricDefinition["type"] = this.definition.type): string {
    if (this.#series.size === 0) return "";
    const lines = [
      `# HELP ${name} ${this.definition.help.replaceAll("\\", "\\\\").replaceAll("\n", String.raw`\n`)}`,
      `# TYPE ${name} ${type}`,
    ];
    for (const { labels, sum, buckets } of this.#series.values()) {
      if (type !== "histogram") {
        lines.push(`${name}${printLabels(labels)} ${printNumber(sum)}`);
        continue;
      }
      let count = 0;
      for (const [index, inBucket] of buckets.entries()) {
        count += inBucket;
        const le = printNumber(this.#bounds[index] ?? Infinity);
        lines.push(`${name}_bucket${printLabels({ ...labels, le })} ${count}`);
      }
      lines.push(`${name}_sum${printLabels(labels)} ${printNumber(sum)}`);
      lines.push(`${name}_count${printLabels(labels)} ${count}`);
    }
    return `${lines.join("\n")}\n`;
  }

  #find(labels: Labels): Series | undefined {
    const key = printLabels(labels);
    let series = this.#series.get(key);
    if (series === undefined && this.#series.size < MOST_SERIES) {
      const size = this.definition.type === "histogram" ? this.#bounds.length + 1 : 0;
      series = { labels, sum: 0, buckets: Array.from({ length: size }, () => 0) };
      this.#series.set(key, series);
    }
    return series;
  }
}

/** `{a="b",c="d"}`, in the order of their names; nothing for none. */
function printLabels(labels: Labels): string {
  const pairs = Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}="${value.replaceAll(/["\\\n]/g, (found) => ESCAPES[found]!)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

const ESCAPES: Readonly<Record<string, string>> = { '"': String.raw`\"`, "\\": "\\\\", "\n": String.raw`\n` };

export function printNumber(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}
