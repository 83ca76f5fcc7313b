import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { type AddressInfo, connect, createServer as createTcpServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SELF_SIGNED } from "../../../test/support/self-signed.ts";

const built = fileURLToPath(new URL("../../../dist/store/http/create-http-client.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "mull-test-tls-"));
const certificate = join(folder, "ca.pem");
writeFileSync(certificate, SELF_SIGNED.cert);

const asked: string[] = [];
const server = createServer(SELF_SIGNED, (request, response) => {
  const location = "http://registry.example/";
  if (request.url === "/down") response.writeHead(302, { location }).end();
  else response.end(`hello ${request.headers.host}`);
});
const proxy = createTcpServer((socket) => {
  socket.on("error", () => {});
  socket.once("data", (head) => {
    asked.push(head.toString().split("\r\n")[0] ?? "");
    socket.write("HTTP/1.1 200 OK\r\n\r\n");
    const upstream = connect(portOf(server), "127.0.0.1").on("error", () => socket.destroy());
    socket.pipe(upstream).pipe(socket);
  });
});
const portOf = (listening: Server): number => (listening.address() as AddressInfo).port;

beforeAll(async () => {
  for (const each of [server, proxy]) {
    await new Promise<void>((resolve) => void each.listen(0, "127.0.0.1", resolve));
  }
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  proxy.close();
  rmSync(folder, { recursive: true });
});

/** What a process that trusts the certificate gets: "200 body", or the message of the error. */
async function getFromElsewhere(url: string, env: Record<string, string>): Promise<string> {
  const script = `
    import { createHttpClient } from ${JSON.stringify(built)};
    const client = createHttpClient({ env: process.env });
    const answer = await client.send({ url: ${JSON.stringify(url)} }).then(
      async (response) => response.status + " " + Buffer.from(await response.bytes()),
      (error) => error.message,
    );
    await client.close();
    console.log(answer);
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], {
    env: { PATH: process.env["PATH"], NODE_EXTRA_CA_CERTS: certificate, ...env },
  });
  return stdout.trim();
}

describe("TLS", () => {
  it("is trusted where NODE_EXTRA_CA_CERTS says so", async () => {
    const host = `localhost:${portOf(server)}`;
    expect(await getFromElsewhere(`https://${host}/`, {})).toBe(`200 hello ${host}`);
  });

  it("goes through a proxy from end to end, and is not left by a redirect", async () => {
    const env = { HTTPS_PROXY: `http://127.0.0.1:${portOf(proxy)}` };
    expect(await getFromElsewhere("https://registry.example/", env)).toBe("200 hello registry.example");
    expect(await getFromElsewhere("https://registry.example/down", env)).toMatch(
      /it redirects from https to http:\/\/registry\.example/,
    );
    expect(await getFromElsewhere("https://other.example/", env)).toMatch(/certificate is for another host/);
    expect(new Set(asked)).toEqual(
      new Set(["CONNECT registry.example:443 HTTP/1.1", "CONNECT other.example:443 HTTP/1.1"]),
    );
  });
});
