import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** A client that sends what it likes, when it likes. */
export interface RawClient {
  socket: Socket;
  send(text: string | Uint8Array): void;
  /** All that has come so far. */
  received(): string;
  /** Resolves when the other side has ended or broken the connection, with all that came. */
  closed: Promise<{ text: string; error: string | undefined }>;
}

export async function rawClient(url: string, allowHalfOpen = false): Promise<RawClient> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen });
  let text = "";
  let error: string | undefined;
  socket.setEncoding("latin1");
  socket.on("data", (chunk: string) => (text += chunk));
  socket.on("error", (thrown: NodeJS.ErrnoException) => (error = thrown.code));
  const closed = once(socket, "close").then(() => ({ text, error }));
  await once(socket, "connect");
  return { socket, send: (data) => void socket.write(data), received: () => text, closed };
}

/** Head of a request; the caller adds the empty line, or does not. */
export function head(method: string, path: string, headers: Record<string, string | number> = {}): string {
  const lines = Object.entries({ Host: "localhost", ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return `${method} ${path} HTTP/1.1\r\n${lines.join("")}`;
}
