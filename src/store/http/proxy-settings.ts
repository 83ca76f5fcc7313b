import { MullError } from "../../spec/errors.ts";

export interface ProxySettings {
  httpProxy: string;
  httpsProxy: string;
  noProxy: string;
}

/**
 * The proxies that the environment names, as curl reads it: small letters go before capitals, `ALL_PROXY` is for what
 * has no variable of its own. Undefined when there is none.
 *
 * @throws MullError `invalid_argument` naming the variable that holds no address
 */
export function proxySettings(env: NodeJS.ProcessEnv): ProxySettings | undefined {
  const httpProxy = proxyOf(env, "HTTP_PROXY");
  const httpsProxy = proxyOf(env, "HTTPS_PROXY");
  if (httpProxy === "" && httpsProxy === "") return undefined;
  return { httpProxy, httpsProxy, noProxy: read(env, "NO_PROXY") };
}

function proxyOf(env: NodeJS.ProcessEnv, variable: string): string {
  const name = [variable, "ALL_PROXY"].find((name) => read(env, name) !== "");
  if (name === undefined) return "";
  const text = read(env, name);
  const address = (/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`).replace(
    /^socks5h:/i,
    "socks5:",
  );
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !/^(?:https?|socks5?):$/.test(url.protocol) || url.hostname === "") {
    throw new MullError("invalid_argument", `${name} is not the address of a proxy.`, {
      hint: "It looks like http://host:port, or http://user:password@host:port.",
    });
  }
  return url.href;
}

function read(env: NodeJS.ProcessEnv, name: string): string {
  return env[name.toLowerCase()]?.trim() || env[name]?.trim() || "";
}
