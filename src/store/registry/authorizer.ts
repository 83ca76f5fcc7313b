import { abortedError, throwIfAborted } from "../../media/abort.ts";
import { MullError } from "../../spec/errors.ts";
import type { HttpClient, HttpRequest, HttpResponse } from "../http/http-client.ts";
import { readJson, requireOk, type ResponseErrorOptions } from "../http/response-error.ts";
import { serverText } from "../http/server-text.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";
import { dockerLogin } from "./docker-login.ts";
import { ollamaKey, signedTokenRequest } from "./ollama-key.ts";

export interface AuthorizerOptions {
  client: HttpClient;
  /** The registry's: nothing that proves who asks goes anywhere else. */
  origin: string;
  env: NodeJS.ProcessEnv;
  /** Of the registry, for plain http. */
  allowPlainHttp: boolean;
}

/** What a request wants to do: each has a token of its own. */
export type Access = "pull" | "push";

export interface Authorizer {
  /**
   * Sends a request to the registry, answering its challenge once. A 401 that is returned means: it does not let us in.
   *
   * @throws MullError `unauthorized` for a token server at another origin
   */
  send(request: RegistryRequest, access: Access): Promise<HttpResponse>;
}

/** What only the authorizer decides is not the caller's. */
export type RegistryRequest = Omit<HttpRequest, "authorization" | "allowPlainHttp">;

interface Authorization {
  value: string;
  /** Milliseconds since 1970. */
  expires: number;
}

/** A token that ends so soon is not used any more. */
const MARGIN_MS = 5000;
/** What the specification says of a token without `expires_in`. */
const DEFAULT_SECONDS = 60;

export function createAuthorizer(options: AuthorizerOptions): Authorizer {
  const { client, origin, env, allowPlainHttp } = options;
  const current = new Map<Access, Authorization>();
  const asking = new Map<Access, Promise<Authorization | undefined>>();

  return {
    async send(request, access) {
      if (new URL(request.url).origin !== origin) return await client.send({ ...request, allowPlainHttp });
      const used = valid(current.get(access));
      const response = await client.send({ ...request, allowPlainHttp, authorization: used?.value });
      // Only the registry's own challenge counts: a redirect may have led elsewhere.
      if (response.status !== 401 || response.url.origin !== origin) return response;
      const fresh = await renew(access, used, response, request.signal ?? undefined);
      if (fresh === undefined || fresh.value === used?.value) return response;
      response.discard();
      return await client.send({ ...request, allowPlainHttp, authorization: fresh.value });
    },
  };

  function valid(authorization: Authorization | undefined): Authorization | undefined {
    const ends = authorization?.expires ?? 0;
    return ends - MARGIN_MS > client.clock.now() ? authorization : undefined;
  }

  /** Many requests at once are refused at once: one of them asks for all. */
  async function renew(
    access: Access,
    used: Authorization | undefined,
    refusal: HttpResponse,
    signal: AbortSignal | undefined,
  ): Promise<Authorization | undefined> {
    const other = valid(current.get(access));
    if (other !== undefined && other !== used) return other;
    let running = asking.get(access);
    if (running === undefined) {
      // Without a signal: it is for all who wait, and has time limits of its own.
      running = answer(parseChallenges(refusal.headers["www-authenticate"] ?? "")).finally(() =>
        asking.delete(access),
      );
      asking.set(access, running);
    }
    const fresh = await unlessAborted(running, signal);
    if (fresh !== undefined) current.set(access, fresh);
    return fresh;
  }

  async function answer(challenges: readonly Challenge[]): Promise<Authorization | undefined> {
    const bearer = challenges.find(({ scheme }) => scheme === "bearer");
    if (bearer !== undefined) return await fetchToken(bearer);
    if (!challenges.some(({ scheme }) => scheme === "basic")) return undefined;
    const login = await dockerLogin(new URL(origin).host, env);
    return login && { value: login.authorization, expires: Number.POSITIVE_INFINITY };
  }

  async function fetchToken({ parameters }: Challenge): Promise<Authorization> {
    const { realm = "", service, scope = "" } = parameters;
    const address = realmOf(realm, origin);
    if (service !== undefined) address.searchParams.set("service", service);
    for (const one of scope.split(" ").filter((one) => one !== "")) address.searchParams.append("scope", one);
    const asked = await identified(address);
    const response = await client.send({ ...asked, allowPlainHttp, redirects: "same-origin" });
    if (response.redirect !== undefined) throw elsewhere(origin, response.redirect.origin);
    const now = client.clock.now();
    return tokenOf(await readJson(await requireOk(response, client, tokenErrors(origin))), origin, now);
  }

  async function identified(url: URL): Promise<{ url: URL; authorization?: string }> {
    const key = await ollamaKey(origin, env);
    if (key !== undefined) return signedTokenRequest(url, key, client.clock.now());
    const login = await dockerLogin(new URL(origin).host, env);
    return { url, ...login };
  }
}

/** Where a token is asked for: at the registry itself, or not at all. */
function realmOf(realm: string, origin: string): URL {
  const url = URL.canParse(realm) ? new URL(realm) : undefined;
  if (url === undefined) {
    throw new MullError("unauthorized", `${origin} wants a token and does not say where to get it.`);
  }
  if (url.origin !== origin) throw elsewhere(origin, url.origin);
  url.username = "";
  url.password = "";
  return url;
}

function elsewhere(origin: string, other: string): MullError {
  return new MullError(
    "unauthorized",
    `${origin} wants a token from ${serverText(other)}: mull gets tokens from the registry's own origin only.`,
    { hint: "A server that sends you elsewhere could be after your login. Is the address right?" },
  );
}

function tokenOf(value: unknown, origin: string, now: number): Authorization {
  const { token, access_token, expires_in } = (value ?? {}) as Record<string, unknown>;
  const text = token || access_token;
  if (typeof text !== "string" || !/^[\x21-\x7E]{1,65536}$/.test(text)) {
    throw new MullError("unauthorized", `${origin} gave no token.`);
  }
  const seconds = typeof expires_in === "number" && expires_in > 0 ? expires_in : DEFAULT_SECONDS;
  return { value: `Bearer ${text}`, expires: now + seconds * 1000 };
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work;
  throwIfAborted(signal);
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(abortedError(signal));
    signal.addEventListener("abort", stop, { once: true });
  });
  return await Promise.race([work, aborted]).finally(() => signal.removeEventListener("abort", stop));
}

function tokenErrors(origin: string): ResponseErrorOptions {
  const { host } = new URL(origin);
  return { subject: `A token of ${host}`, credentialsHint: credentialsHint(origin) };
}

/** What to do when a registry wants to know who asks. */
export function credentialsHint(origin: string): string {
  const { host, hostname } = new URL(origin);
  return hostname === "registry.ollama.ai"
    ? "Some registries say this of names that do not exist, too. For your own models, add ~/.ollama/id_ed25519.pub to your account at ollama.com."
    : `Log in with \`docker login ${host}\`: mull reads ~/.docker/config.json and DOCKER_AUTH_CONFIG. Some registries say this of names that do not exist, too.`;
}
