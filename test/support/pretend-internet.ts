/** Hosts that a server finds when it is started with `pretendInternet`, and their addresses. */
export type PretendHosts = Readonly<Record<string, string>>;

/**
 * Environment for a process to which these hosts exist, and no others. Every connection with TLS goes, without TLS, to
 * one port of loopback instead; the address that it was meant for is a first line in front of the request.
 */
export function pretendInternet(hosts: PretendHosts, port: number): Record<string, string> {
  const script = `
    import { createRequire, syncBuiltinESMExports } from "node:module";
    const require = createRequire("file:///");
    const hosts = ${JSON.stringify(hosts)};
    require("node:dns/promises").lookup = async (name) => {
      if (hosts[name] === undefined) throw new Error("no such host");
      return [{ address: hosts[name], family: 4 }];
    };
    const net = require("node:net");
    require("node:tls").connect = ({ host }) => {
      const socket = net.connect(${port}, "127.0.0.1");
      socket.write("CONNECT-TO " + host + "\\r\\n");
      return socket;
    };
    syncBuiltinESMExports();
  `;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}` };
}
