import { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { expect, it } from "vitest";
import { ConnectionCaps } from "./connection-caps.ts";

/** A connection from an address, and what was written to it. */
function connection(remoteAddress: string): { socket: Socket; written: () => string } {
  let text = "";
  const duplex = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _, done) => {
      text += chunk.toString();
      done();
    },
  });
  return { socket: Object.assign(duplex, { remoteAddress }) as unknown as Socket, written: () => text };
}

it("counts by address, and lets one go when it closes", async () => {
  const caps = new ConnectionCaps({ connections: 100, connectionsPerAddress: 2 });
  const first = connection("10.0.0.1");
  expect(caps.admit(first.socket)).toBe(true);
  expect(caps.admit(connection("10.0.0.1").socket)).toBe(true);
  const third = connection("10.0.0.1");
  expect(caps.admit(third.socket)).toBe(false);
  expect(third.written()).toMatch(/^HTTP\/1\.1 503 /);
  expect(caps.isRefused(third.socket)).toBe(true);
  expect(caps.isRefused(first.socket)).toBe(false);
  expect(caps.admit(connection("10.0.0.2").socket)).toBe(true);
  expect(caps.open).toBe(3);
  const closed = new Promise((resolve) => first.socket.once("close", resolve));
  first.socket.destroy();
  await closed;
  expect(caps.admit(connection("10.0.0.1").socket)).toBe(true);
});

it("has no limit by address for loopback, but one for all", () => {
  const caps = new ConnectionCaps({ connections: 20, connectionsPerAddress: 2 });
  for (const address of ["127.0.0.1", "::1", "::ffff:127.0.0.1"]) {
    for (let times = 0; times < 5; times++) expect(caps.admit(connection(address).socket)).toBe(true);
  }
  for (let times = 0; times < 5; times++) expect(caps.admit(connection("127.0.0.1").socket)).toBe(true);
  expect(caps.admit(connection("127.0.0.1").socket)).toBe(false);
});
