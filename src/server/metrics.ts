/** Labels of a sample, such as `{ model: "pico", route: "/api/chat" }`. Values are escaped when printed. */
export type Labels = Readonly<Record<string, string>>;

/** What the server counts. Names are without prefix and unit suffixes as Prometheus wants them: "requests_total". */
export interface Metrics {
  count(name: string, labels?: Labels, by?: number): void;
  /** A value that goes up and down. */
  gauge(name: string, value: number, labels?: Labels): void;
  /** A duration or size in a histogram. */
  observe(name: string, value: number, labels?: Labels): void;
  /** Text format 0.0.4. */
  print(): string;
}
