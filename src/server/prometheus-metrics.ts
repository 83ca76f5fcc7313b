import type { Labels, Metrics } from "./metrics.ts";
import { ALIASES, METRICS, type MetricAlias, type MetricDefinition } from "./metrics/metric-catalogue.ts";
import { MetricSeries, printNumber } from "./metrics/metric-series.ts";

const PREFIX = "mull_";

/**
 * Counters, gauges and histograms in memory, printed for Prometheus: all of `METRICS` with the prefix `mull_`, and
 * those that other servers' dashboards read under their names too. A name that is not in the catalogue becomes what
 * its first use says.
 */
export class PrometheusMetrics implements Metrics {
  readonly #metrics = new Map<string, MetricSeries>();

  count(name: string, labels: Labels = {}, by = 1): void {
    this.#metric(name, "counter").add(labels, by);
  }

  gauge(name: string, value: number, labels: Labels = {}): void {
    this.#metric(name, "gauge").set(labels, value);
  }

  observe(name: string, value: number, labels: Labels = {}): void {
    this.#metric(name, "histogram").observe(labels, value);
  }

  print(): string {
    let text = "";
    for (const [name, metric] of this.#metrics) text += metric.print(PREFIX + name);
    for (const alias of ALIASES) text += this.#printAlias(alias);
    return text;
  }

  #printAlias({ alias, of, keep = {}, only, dividedBy, type }: MetricAlias): string {
    const metric = this.#metrics.get(of);
    if (metric === undefined) return "";
    if (dividedBy === undefined) return metric.grouped(keep, only).print(alias, type);
    const divisor = this.#metrics.get(dividedBy)?.total() ?? 0;
    const quotient = divisor === 0 ? 0 : metric.total() / divisor;
    return `# HELP ${alias} ${metric.definition.help}\n# TYPE ${alias} gauge\n${alias} ${printNumber(quotient)}\n`;
  }

  #metric(name: string, type: MetricDefinition["type"]): MetricSeries {
    let metric = this.#metrics.get(name);
    if (metric === undefined) {
      if (!/^[a-z][a-z0-9_]*$/.test(name)) throw new TypeError(`"${name}" is no name of a metric.`);
      metric = new MetricSeries(METRICS[name] ?? { type, help: `${name}.` });
      this.#metrics.set(name, metric);
    }
    if (metric.definition.type !== type) {
      throw new TypeError(`The metric ${name} is a ${metric.definition.type}, not a ${type}.`);
    }
    return metric;
  }
}
