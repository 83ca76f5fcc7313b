import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A plain server of one file with ranges, in a process of its own; prints its address. */
const path = process.argv[2] as string;
const { size } = await stat(path);

const server = createServer((request, response) => {
  const [, from = "0", to = ""] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  const start = Number(from);
  const end = to === "" ? size : Math.min(size, Number(to) + 1);
  const ranged = request.headers.range !== undefined;
  response.writeHead(ranged ? 206 : 200, {
    "accept-ranges": "bytes",
    "content-length": end - start,
    ...(ranged ? { "content-range": `bytes ${start}-${end - 1}/${size}` } : {}),
  });
  const body = createReadStream(path, { start, end: end - 1, highWaterMark: 1024 * 1024 });
  body.on("error", () => response.destroy());
  response.on("close", () => body.destroy());
  body.pipe(response);
});
server.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
});
