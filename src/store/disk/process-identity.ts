import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";

/**
 * Which process of which machine: enough for another process to tell whether it still runs. Process ids are used
 * again, so the time of its start belongs to it; they mean nothing in another container or on another machine.
 */
export interface ProcessIdentity {
  /** Of the running kernel and the process-id namespace, 16 hex digits. */
  readonly machine: string;
  readonly pid: number;
  /** In ticks since the machine started; "0" where the system does not say. */
  readonly start: string;
}

export type Liveness = "alive" | "dead" | "unknown";

let own: ProcessIdentity | undefined;

export function ownIdentity(): ProcessIdentity {
  own ??= { machine: machineIdentity(), pid: process.pid, start: processStatus(process.pid)?.start ?? "0" };
  return own;
}

/** "unknown" for processes elsewhere, and where only the process id is known and in use. */
export function livenessOf(identity: ProcessIdentity): Liveness {
  if (identity.machine !== ownIdentity().machine) return "unknown";
  if (!processExists(identity.pid)) return "dead";
  const status = processStatus(identity.pid);
  if (status === undefined || identity.start === "0") return "unknown";
  return status.start === identity.start && !status.ended ? "alive" : "dead";
}

function machineIdentity(): string {
  return createHash("sha256").update(machineFacts().join("\n")).digest("hex").slice(0, 16);
}

function machineFacts(): readonly string[] {
  try {
    // A kernel has a new one with each start, and no two machines the same.
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
    return ["linux", boot.trim(), readlinkSync("/proc/self/ns/pid")];
  } catch {
    const addresses = Object.values(networkInterfaces()).flatMap((list) => list?.map(({ mac }) => mac) ?? []);
    return [process.platform, hostname(), ...[...new Set(addresses)].sort()];
  }
}

function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it is there, and another user's.
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

function processStatus(pid: number): { start: string; ended: boolean } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name of the command comes second, in brackets, and may hold anything.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const [state = "", start] = [fields[0], fields[19]];
    return start === undefined ? undefined : { start, ended: /^[ZXx]/.test(state) };
  } catch {
    return undefined;
  }
}
