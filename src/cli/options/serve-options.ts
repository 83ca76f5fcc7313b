import { type Command, Option } from "commander";
import { LOG_LEVELS } from "../../server/leveled-logger.ts";

/** Flags of `mull serve`. What they say is read by `readServeSettings`, when it is known to be that command. */
export function addServeOptions(command: Command): Command {
  return command
    .option(
      "--host <host>",
      "address to listen on (default 127.0.0.1, or what MULL_HOST or OLLAMA_HOST says)",
    )
    .option("--port <port>", "port to listen on; 0 takes a free one (default 11434)")
    .option(
      "--model <name=file>",
      "serve a GGUF file under a name: NAME=FILE[,PROJECTOR]; repeatable",
      collect,
    )
    .option(
      "--api-key <key>",
      "a key that clients may use; others on this machine can read it in ps",
      collect,
    )
    .option("--api-key-file <file>", "a file with such keys, one per line (or set MULL_API_KEY)")
    .option("--allow-host <name>", "another host name to answer under; repeatable", collect)
    .option("--allow-origin <origin>", "an origin whose web pages may use the server; repeatable", collect)
    .option("--allow-urls", "fetch pictures that requests name by https: URL")
    .option("--parallel <n>", "requests that a model works on at once, or auto (default auto)")
    .option(
      "--num-ctx <n>",
      "context length where a request asks for none (default the model's own, at most 4096)",
    )
    .option("--max-tokens <n>", "most tokens of one answer (default: the context)")
    .option("--max-images <n>", "most pictures in one request (default 16)")
    .option("--request-timeout <duration>", "longest a request may take (default 10m)")
    .option("--max-queue <n>", "requests that may wait for a model (default 512)")
    .option("--max-loaded <n>", "models in memory at once (default 3)")
    .option("--keep-alive <duration>", "how long an idle model stays in memory; -1 is for ever (default 5m)")
    .addOption(new Option("--log-format <format>", "how to log").choices(["text", "json"]).default("text"))
    .addOption(new Option("--log-level <level>", "what to log").choices(LOG_LEVELS).default("info"));
}

function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}
