import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import type { OutputStream } from "../cli-context.ts";
import { displayWidth } from "./display-width.ts";
import { TransferView } from "./transfer-view.ts";

/** A terminal whose screen can be read: it knows the few sequences that the view writes. */
class Screen extends PassThrough implements OutputStream {
  readonly isTTY = true;
  readonly columns: number;
  readonly rows: number;
  readonly lines: string[] = [""];
  #row = 0;

  constructor(columns = 80, rows = 24) {
    super();
    this.columns = columns;
    this.rows = rows;
    this.on("data", (chunk: Buffer) => this.#feed(String(chunk)));
  }

  #feed(text: string): void {
    // oxlint-disable-next-line no-control-regex -- escape sequences are what is read here
    for (const [piece, up] of text.matchAll(/\u001b\[(\d+)A|\u001b\[[KJ]|\r|\n|[^\u001b\r\n]+/g)) {
      if (up !== undefined) this.#row -= Number(up);
      else if (piece === "\u001b[K") this.lines[this.#row] = "";
      else if (piece === "\u001b[J") this.lines.splice(this.#row, Infinity, "");
      else if (piece === "\n") this.lines[++this.#row] ??= "";
      else if (piece !== "\r") this.lines[this.#row] = piece;
    }
  }

  get text(): string {
    return this.lines.join("\n").trimEnd();
  }
}

function viewOn(screen: OutputStream): { view: TransferView; clock: { ms: number } } {
  const clock = { ms: 0 };
  return { view: new TransferView(screen, {}, () => clock.ms), clock };
}

const DIGEST = "sha256:30e10d8c2d7f";
const status = "pulling 30e10d8c2d7f";

describe("the progress of a transfer on a terminal", () => {
  it("is one line per layer, with rate and time left", () => {
    const screen = new Screen();
    const { view, clock } = viewOn(screen);
    view.show({ status: "pulling manifest" });
    for (; clock.ms <= 5000; clock.ms += 100) {
      view.show({ status, digest: DIGEST, total: 4.1e9, completed: clock.ms * 1e5 });
    }
    view.draw();
    expect(screen.text).toMatch(
      /^pulling manifest\npulling 30e10d8c2d7f: {2}12% ▕█+ +▏ 500 MB\/4.10 GB {2}9[67]\.\d MB\/s {2}3[78] s$/,
    );
    view.show({ status, digest: DIGEST, total: 4.1e9, completed: 4.1e9 });
    view.show({ status: "verifying sha256 digest" });
    view.show({ status: "success" });
    view.end();
    expect(screen.text).toMatch(
      /^pulling manifest\npulling 30e10d8c2d7f: 100% ▕█+▏ 4.10 GB\nverifying sha256 digest\nsuccess$/,
    );
  });

  it("tells the rate of what is fetched now, not of what was there when it began", () => {
    const screen = new Screen();
    const { view, clock } = viewOn(screen);
    for (; clock.ms <= 4000; clock.ms += 100) {
      view.show({ status, digest: DIGEST, total: 4e9, completed: 3e9 + clock.ms * 1e4 });
    }
    view.draw();
    expect(screen.text).toMatch(/ 9\.[67]\d MB\/s /);
  });

  it.each([20, 30, 40, 60, 80, 100, 200])("fits into %i columns, and never moves its bar", (columns) => {
    const screen = new Screen(columns);
    const { view, clock } = viewOn(screen);
    const bars = new Set<number>();
    for (let completed = 0; completed <= 123_456_789; completed += 1_234_567) {
      clock.ms += 90;
      view.show({ status, digest: DIGEST, total: 123_456_789, completed });
      view.draw();
      const line = screen.text.split("\n").at(-1) ?? "";
      expect(displayWidth(line)).toBeLessThan(columns);
      expect(line).toMatch(/%/);
      bars.add(/▕(.*)▏/.exec(line)?.[1]?.length ?? 0);
    }
    expect(bars.size).toBe(1);
    view.end();
  });

  it("says on a narrow terminal what fits", () => {
    const screen = new Screen(40);
    const { view, clock } = viewOn(screen);
    for (; clock.ms <= 2000; clock.ms += 100) {
      view.show({ status, digest: DIGEST, total: 4.1e9, completed: clock.ms * 1e5 });
    }
    view.draw();
    expect(screen.text).toMatch(/^pulling 30e10d8c2d7f: {3}4% \d+ s$/);
    view.end();
  });

  it("cuts long names between characters, and shows what a terminal would obey", () => {
    const screen = new Screen(30);
    const { view } = viewOn(screen);
    view.show({ status: "importing 模型模型模型模型模型模型.gguf", total: 10, completed: 5 });
    view.show({ status: "importing \u001b[2Jx", total: 10, completed: 5 });
    view.end();
    const [wide = "", hostile = ""] = screen.lines;
    expect(wide).toMatch(/^importing 模+.*…: {2}50%$/);
    expect(displayWidth(wide)).toBeLessThan(30);
    expect(hostile).toContain("␛[2Jx");
  });

  it("lets what is over scroll away: more layers than the screen has lines are no trouble", () => {
    const screen = new Screen(80, 5);
    const { view } = viewOn(screen);
    for (let layer = 0; layer < 12; layer++) {
      view.show({ status: `pulling ${layer}`, digest: `sha256:${layer}`, total: 10, completed: 5 });
      view.draw();
      view.show({ status: `pulling ${layer}`, digest: `sha256:${layer}`, total: 10, completed: 10 });
      view.draw();
    }
    view.end();
    expect(screen.text.split("\n").map((line) => /^pulling (\d+)/.exec(line)?.[1])).toEqual(
      Array.from({ length: 12 }, (_, layer) => String(layer)),
    );
  });

  it("says once that something is over, and again when it is done again", () => {
    const screen = new Screen();
    const { view } = viewOn(screen);
    for (const completed of [5, 10, 10, 10, 5, 10]) {
      view.show({ status: "verifying sha256 digest", total: 10, completed });
      view.draw();
    }
    view.end();
    expect(screen.text.match(/100%/g)).toHaveLength(2);
    expect(screen.text.split("\n")).toHaveLength(2);
  });

  it("leaves what was not finished as it was", () => {
    const screen = new Screen();
    const { view } = viewOn(screen);
    view.show({ status, digest: DIGEST, total: 100, completed: 42 });
    view.end();
    view.end();
    expect(screen.text).toContain("42%");
    expect(screen.text.split("\n")).toHaveLength(1);
  });
});

describe("the progress of a transfer in a file", () => {
  it("is one line when a step begins", () => {
    const file = new PassThrough();
    const { view } = viewOn(file);
    view.show({ status: "pulling manifest" });
    for (const completed of [0, 50, 100]) view.show({ status, digest: DIGEST, total: 100, completed });
    view.show({ status: "success" });
    view.end();
    expect(String(file.read())).toBe("pulling manifest\npulling 30e10d8c2d7f (100 B)\nsuccess\n");
  });
});
