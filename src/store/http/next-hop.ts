import { isIPv4 } from "node:net";
import type { MullError } from "../../spec/errors.ts";
import { isLoopback } from "../../providers/server-address.ts";
import { showUrl } from "./server-text.ts";
import { unreachableFor } from "./unreachable.ts";

/**
 * Where a redirect leads.
 *
 * @throws MullError `server_unreachable` for one that is not followed
 */
export function nextHop(from: URL, location: string, allowPlainHttp: boolean): URL {
  if (!URL.canParse(location, from.href)) throw refused(from, "to what is no address");
  const to = new URL(location, from);
  to.username = "";
  to.password = "";
  to.hash = "";
  const target = showUrl(to);
  if (to.protocol !== "https:" && to.protocol !== "http:") throw refused(from, `to ${target}`);
  if (from.protocol === "https:" && to.protocol === "http:") {
    throw refused(from, `from https to ${target}, where anybody could read along`);
  }
  if (isLoopback(to) && !isLoopback(from)) throw refused(from, `to ${target}, which is inside this machine`);
  if (isOfLink(to) && to.host !== from.host) throw refused(from, `to ${target}, which only this link knows`);
  if (to.protocol === "http:" && !isLoopback(to) && !allowPlainHttp) throw refused(from, `to ${target}`);
  return to;
}

/** Addresses that mean something else on every network, metadata services among them; and loopback in disguise. */
function isOfLink({ hostname }: URL): boolean {
  const isV4 = isIPv4(hostname) && /^(?:169\.254|0)\./.test(hostname);
  return isV4 || /^\[(?:::\]|::ffff:|fe[89ab])/i.test(hostname);
}

function refused(from: URL, where: string): MullError {
  return unreachableFor(
    "redirect",
    from,
    `it redirects ${where}`,
    "mull does not follow that. Is the address right?",
  );
}
