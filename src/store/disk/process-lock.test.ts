import { readdirSync, utimesSync, writeFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { newStoreFolder, removeStoreFolders } from "../../../test/support/store-models.ts";
import { Claims, claimSuffix } from "./claims.ts";
import { fileSystem } from "./file-system.ts";
import { ProcessLock } from "./process-lock.ts";

afterAll(removeStoreFolders);

const TIMES = { beatMs: 10, staleMs: 150 };

function newLock(folder: string): ProcessLock {
  return new ProcessLock(new Claims(fileSystem, folder, TIMES));
}

/** The ticket that `lock` would wait for: of a process that is described by the end of its name. */
async function ticketOf(folder: string, key: string, suffix: string): Promise<string> {
  let name = "";
  await newLock(folder).exclusively(key, async () => {
    name = readdirSync(folder).find((file) => file.startsWith("ticket.")) ?? "";
  });
  return join(folder, name.replace(/[^.]+$/, suffix));
}

const ELSEWHERE = "0123456789abcdef-4711-1234-aaaaaaaaaaaaaaaa";

describe("a lock", () => {
  it("lets one in at a time, in the order in which they came, through whatever instance", async () => {
    const folder = newStoreFolder();
    const locks = [newLock(folder), newLock(folder), newLock(folder)];
    let inside = 0;
    let most = 0;
    const order: number[] = [];
    const work = async (number: number): Promise<void> => {
      most = Math.max(most, (inside += 1));
      order.push(number);
      await sleep(1);
      inside -= 1;
    };
    const runs = Array.from({ length: 60 }, (_, number) =>
      (locks[number % 3] as ProcessLock).exclusively("key", () => work(number)),
    );
    await Promise.all(runs);
    expect(most).toBe(1);
    expect(order.length).toBe(60);
    // Within an instance nobody overtakes.
    for (const rest of [0, 1, 2]) {
      const own = order.filter((number) => number % 3 === rest);
      expect(own).toEqual([...own].sort((one, other) => one - other));
    }
    expect(readdirSync(folder)).toEqual([]);
  });

  it("of another key waits for nobody, and a failure gives it back", async () => {
    const lock = newLock(newStoreFolder());
    await lock.exclusively("outer", async () => {
      await expect(lock.exclusively("inner", () => Promise.reject(new Error("work failed")))).rejects.toThrow(
        "work failed",
      );
    });
    expect(await lock.exclusively("outer", async () => "again")).toBe("again");
  });

  it("that is not free is left alone by who would not wait", async () => {
    const folder = newStoreFolder();
    const [one, other] = [newLock(folder), newLock(folder)];
    await one.exclusively("key", async () => {
      for (const lock of [one, other]) expect(await lock.ifFree("key", async () => "in")).toBeUndefined();
      expect(await other.ifFree("free", async () => "in")).toBe("in");
    });
    expect(await one.ifFree("key", async () => "in")).toBe("in");
    expect(readdirSync(folder)).toEqual([]);
  });

  it("is not waited for any longer when the signal fires, and tells that it is waited for", async () => {
    const folder = newStoreFolder();
    const [one, other] = [newLock(folder), newLock(folder)];
    const controllers = [new AbortController(), new AbortController()];
    let waits = 0;
    await one.exclusively("key", async () => {
      const waiting = [one, other].map((lock, index) =>
        lock.exclusively("key", async () => "in", {
          signal: (controllers[index] as AbortController).signal,
          onWait: () => {
            waits += 1;
            controllers[index]?.abort();
          },
        }),
      );
      for (const wait of waiting) await expect(wait).rejects.toMatchObject({ code: "aborted" });
    });
    expect(waits).toBe(2);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("of a dead process on this machine counts for nothing", async () => {
    const folder = newStoreFolder();
    const own = claimSuffix().split("-");
    // A process id that nobody has; and ours, of a process that started at another time.
    for (const parts of [
      [own[0], "4194305", own[2]],
      [own[0], own[1], "1"],
    ]) {
      const suffix = [...parts, "b".repeat(16)].join("-");
      writeFileSync(await ticketOf(folder, "key", suffix), "");
      writeFileSync(
        (await ticketOf(folder, "key", suffix)).replace(/ticket(\.[^.]+)\.\d+/, "choosing$1"),
        "",
      );
    }
    expect(await newLock(folder).exclusively("key", async () => "in")).toBe("in");
    expect(readdirSync(folder)).toEqual([]);
  });

  it("of a process elsewhere is respected while it moves, whatever time it shows, and taken over when it stands", async () => {
    const folder = newStoreFolder();
    const ticket = await ticketOf(folder, "key", ELSEWHERE);
    writeFileSync(ticket, "");
    let beats = 0;
    // A clock that runs backwards: only that it moves counts.
    const beating = setInterval(() => utimesSync(ticket, 0, 2_000_000_000 - (beats += 1)), 10);
    let isIn = false;
    const entering = newLock(folder).exclusively("key", async () => void (isIn = true));
    await sleep(3 * TIMES.staleMs);
    expect(isIn).toBe(false);
    expect(beats).toBeGreaterThan(3);
    clearInterval(beating);
    await entering;
    expect(isIn).toBe(true);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("tells who stood still that others took over, before it does harm", async () => {
    const folder = newStoreFolder();
    const lock = newLock(folder);
    await lock.exclusively("key", async (confirm) => {
      await confirm();
      const claims = new Claims(fileSystem, folder, TIMES);
      for (const name of readdirSync(folder)) await claims.bury(name);
      await expect(confirm()).rejects.toMatchObject({ code: "store_unavailable" });
    });
  });

  it("leaves alone what it does not know", async () => {
    const folder = newStoreFolder();
    writeFileSync(join(folder, "README"), "hello");
    mkdirSync(join(folder, "ticket.folder"));
    expect(await newLock(folder).exclusively("key", async () => "in")).toBe("in");
    expect(readdirSync(folder).sort()).toEqual(["README", "ticket.folder"]);
  });
});
