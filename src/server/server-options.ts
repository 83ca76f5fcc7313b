import type { LoadOptions } from "../spec/options.ts";

/** How the server is run. Everything has a default; `resolveServerOptions` checks and fills in. */
export interface ServerOptions {
  /** Address to listen on. Default 127.0.0.1. Any other than loopback needs at least one API key. */
  host: string;
  /** Default 11434; 0 takes a free one. */
  port: number;
  /** Keys that clients may use. None: no key is asked for, which only loopback may do. */
  apiKeys: readonly string[];
  /** Host names, beside loopback's, that requests may name in their Host header. */
  allowedHosts: readonly string[];
  /** Origins of web pages that may use the server. Default: none, so no CORS header is ever sent. */
  allowedOrigins: readonly string[];
  /** Whether pictures may be given as https URLs, which the server then fetches. Default false. */
  allowUrls: boolean;
  /** Models served beside pico and the saved ones: name → files. */
  models: Readonly<Record<string, LoadOptions>>;
  /** Requests that one model works on at the same time. Default "auto". */
  parallel: number | "auto";
  /** Context length of models whose requests ask for none. Default: the model's own, at most 4096. */
  contextLength: number | undefined;
  /** Requests that wait for one model; the next is refused with 503. Default 512. */
  maxQueue: number;
  /** Requests of one client at the same time, waiting ones included; the next is refused with 429. Default 64. */
  maxPerClient: number;
  /** Models loaded at the same time. Default 3. */
  maxLoadedModels: number;
  /** How long an idle model stays loaded, in ms; Infinity: for ever. Default 5 minutes. */
  keepAliveMs: number;
  /** Longest a request may take, in ms. Default 10 minutes. */
  requestTimeoutMs: number;
  /** Largest JSON body, in bytes. Default 64 MiB. */
  maxBodyBytes: number;
  /** Most pictures in one request. Default 16. */
  maxImages: number;
  /** Most tokens that one answer may have. Default: the context. */
  maxTokens: number | undefined;
  /** How long running answers may go on after the server was told to end, in ms. Default 10 s. */
  drainMs: number;
}
