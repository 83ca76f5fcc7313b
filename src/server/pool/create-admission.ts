import { MullError } from "../../spec/errors.ts";
import type { Admission } from "../admission.ts";
import type { ServerOptions } from "../server-options.ts";
import { canonicalName } from "./model-name.ts";

/** What `parallel: "auto"` comes to at most. */
const MOST_PARALLEL = 8;
/** Weight of the newest duration in the running mean. */
const NEWEST = 0.2;
/** Before anything was measured, in ms. */
const FIRST_GUESS = 5_000;
const MOST_MODELS = 100;
const LONGEST_RETRY_SECONDS = 120;

/**
 * Counts requests by model and by client. A model takes `parallel` requests and a queue of `maxQueue`; a client
 * `maxPerClient` over all models, if it is known by a key.
 *
 * @param now milliseconds of any clock that does not go back
 */
export function createAdmission(
  options: Pick<ServerOptions, "parallel" | "maxQueue" | "maxPerClient">,
  now: () => number = () => performance.now(),
): Admission {
  const parallel = options.parallel === "auto" ? MOST_PARALLEL : options.parallel;
  const pending = new Map<string, number>();
  const byClient = new Map<string, number>();
  /** Mean duration of a model's requests, waiting included, in ms. */
  const durations = new Map<string, number>();

  const remember = (model: string, duration: number): void => {
    const mean = durations.get(model) ?? duration;
    durations.delete(model);
    durations.set(model, mean + NEWEST * (duration - mean));
    const [oldest] = durations.keys();
    if (durations.size > MOST_MODELS && oldest !== undefined) durations.delete(oldest);
  };

  return {
    pending,
    enter: (client, name) => {
      const model = (canonicalName(name) ?? name).toLowerCase();
      const waiting = pending.get(model) ?? 0;
      const own = byClient.get(client) ?? 0;
      // While all stand in line for their mean duration, one of them leaves about every mean / number of them.
      const secondsUntilOneOf = (count: number): number =>
        Math.min(
          LONGEST_RETRY_SECONDS,
          Math.ceil((durations.get(model) ?? FIRST_GUESS) / Math.max(1, count) / 1000),
        );
      if (client !== "" && own >= options.maxPerClient) {
        throw new MullError(
          "rate_limited",
          `There are already ${own} requests of yours; no more are taken.`,
          {
            hint: "Wait for one of them to end.",
            details: { retryAfterSeconds: secondsUntilOneOf(own) },
          },
        );
      }
      if (waiting >= parallel + options.maxQueue) {
        throw new MullError(
          "server_busy",
          "server busy, please try again.  maximum pending requests exceeded",
          {
            details: { retryAfterSeconds: secondsUntilOneOf(waiting), pending: waiting },
          },
        );
      }
      pending.set(model, waiting + 1);
      byClient.set(client, own + 1);
      const since = now();
      let inside = true;
      return () => {
        if (!inside) return;
        inside = false;
        decrease(pending, model);
        decrease(byClient, client);
        remember(model, now() - since);
      };
    },
  };
}

/** Counts down and forgets what comes to nothing, so that the map is as large as what is inside. */
function decrease(counts: Map<string, number>, key: string): void {
  const left = (counts.get(key) ?? 0) - 1;
  if (left > 0) counts.set(key, left);
  else counts.delete(key);
}
