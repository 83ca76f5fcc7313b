import { isLoopback } from "../../providers/server-address.ts";
import { MullError } from "../../spec/errors.ts";
import type { HttpClient, HttpResponse } from "../http/http-client.ts";
import type { ResponseErrorOptions } from "../http/response-error.ts";
import { formatModelName } from "../model-name.ts";
import type { ModelReference } from "../reference.ts";
import { type Access, createAuthorizer, credentialsHint, type RegistryRequest } from "./authorizer.ts";

export type RegistryReference = Extract<ModelReference, { kind: "registry" }>;

export interface RegistryOptions {
  client: HttpClient;
  /** For logins: HOME, DOCKER_CONFIG, DOCKER_AUTH_CONFIG. */
  env: NodeJS.ProcessEnv;
  /** Plain http to any host. Default: only for references that say `http://`. */
  insecure?: boolean;
  signal?: AbortSignal;
}

/** One repository of a registry: where the variants of one model are. */
export interface Repository {
  origin: string;
  /** `namespace/model` */
  path: string;
  allowPlainHttp: boolean;
  /** The address of `blobs/…`, `manifests/…` or `blobs/uploads/`. */
  url(path: string): URL;
  /** With what it takes to be let in, which goes to the registry only. */
  send(request: RegistryRequest, access: Access): Promise<HttpResponse>;
  /** For errors about something in it. */
  errors(subject: string): ResponseErrorOptions;
}

/** @throws MullError `server_unreachable`, `invalid_argument` */
export async function openRepository(
  reference: RegistryReference,
  options: RegistryOptions,
): Promise<Repository> {
  const { client, env } = options;
  const { name } = reference;
  const allowPlainHttp = options.insecure === true || reference.protocol === "http";
  const { origin } = await originOf(name.host, allowPlainHttp, options);
  const path = `${name.namespace}/${name.model}`;
  const authorizer = createAuthorizer({ client, origin, env, allowPlainHttp });
  return {
    origin,
    path,
    allowPlainHttp,
    url: (rest) => new URL(`${origin}/v2/${path}/${rest}`),
    send: async (request, access) => await authorizer.send(request, access),
    errors: (subject) => ({ subject, credentialsHint: credentialsHint(origin) }),
  };
}

async function originOf(host: string, plain: boolean, options: RegistryOptions): Promise<URL> {
  const address = `${plain ? "http" : "https"}://${host}`;
  if (!URL.canParse(address)) {
    throw new MullError("invalid_argument", `'${host}' is not the host of a registry.`);
  }
  const url = new URL(address);
  if (plain || !isLoopback(url)) return url;
  // Registries on this machine seldom have TLS; as with docker, it is tried first.
  try {
    const response = await options.client.send({
      url: new URL("/v2/", url),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    response.discard();
    return url;
  } catch (error) {
    const reason = MullError.is(error) ? error.details["reason"] : undefined;
    if (reason !== "tls" && reason !== "reset") throw error;
    return new URL(`http://${host}`);
  }
}

/** "The model llava:13b" */
export function subjectOf({ name }: RegistryReference): string {
  return `The model ${formatModelName(name)}`;
}
