import fc from "fast-check";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { findAttachments } from "./find-attachments.ts";

const HOME = "/home/me";

/** Runs on a disk that holds just these files. */
function find(line: string, ...files: string[]): ReturnType<typeof findAttachments> {
  return findAttachments(line, (path) => files.includes(path), HOME);
}

function paths(line: string, ...files: string[]): string[] {
  return find(line, ...files).attachments.map(({ path }) => path);
}

describe("findAttachments", () => {
  it.each([
    ["bare", "what is x.png", "x.png"],
    ["current folder", "what is ./x.png", "./x.png"],
    ["parent folder", "what is ../x.png", "../x.png"],
    ["home", "what is ~/x.png", "/home/me/x.png"],
    ["absolute", "what is /tmp/x.png", "/tmp/x.png"],
    ["upper case", "what is DSC_0001.JPG", "DSC_0001.JPG"],
    ["Windows", String.raw`what is C:\pics\x.png`, String.raw`C:\pics\x.png`],
    ["Windows, quoted, with blanks", String.raw`what is "C:\my pics\x.png"`, String.raw`C:\my pics\x.png`],
    [
      "Windows, unquoted, with blanks",
      String.raw`what is C:\my pics\x (1).png`,
      String.raw`C:\my pics\x (1).png`,
    ],
    ["single quotes", "what is './my cat.png'", "./my cat.png"],
    ["double quotes", 'what is "./my cat.png"', "./my cat.png"],
    ["typographic quotes", "what is “./my cat.png”", "./my cat.png"],
    ["home in quotes", "what is '~/my cat.png'", "/home/me/my cat.png"],
    ["a quote within quotes", String.raw`what is '/a/it'\''s.png'`, "/a/it's.png"],
    ["an escaped double quote", String.raw`what is "/a/5\" disk.png"`, '/a/5" disk.png'],
    ["shell escapes", String.raw`what is /a/my\ cat\ \(1\)\ \&\ dog\'s.png`, "/a/my cat (1) & dog's.png"],
    ["file URL", "what is file:///a/my%20cat%23.png", "/a/my cat#.png"],
    ["file URL with a host", "what is file://localhost/a/x.png", "/a/x.png"],
    ["file URL of Windows", "what is file:///C:/a/x.png", "C:/a/x.png"],
    ["file URL in quotes, blanks unescaped", "what is 'file:///a/my cat.png'", "/a/my cat.png"],
    ["blanks, unquoted", "what is /a/My Pictures/my cat.png", "/a/My Pictures/my cat.png"],
    ["blanks in a bare name", "what is my cat.png", "my cat.png"],
    ["brackets", "what is (./x.png)", "./x.png"],
    ["an explicit path of another kind", "what is ./notes.txt", "./notes.txt"],
    ["a trailing blank, as terminals leave it", "what is '/a/x.png' ", "/a/x.png"],
    ["an at sign", "what is @./x.png", "./x.png"],
  ])("finds a path: %s", (_, line, path) => {
    const { attachments, prompt, missing } = find(line, path);
    expect(attachments.map((found) => found.path)).toEqual([path]);
    expect(prompt).toBe("what is");
    expect(missing).toEqual([]);
  });

  it("leaves punctuation to the sentence", () => {
    expect(find("what is x.png?", "x.png").prompt).toBe("what is?");
    expect(find("is it red (x.png), or blue?", "x.png").prompt).toBe("is it red, or blue?");
    expect(find("x.png: what is it", "x.png").prompt).toBe(": what is it");
    expect(find("first line\n./x.png\nlast line", "./x.png").prompt).toBe("first line\n\nlast line");
  });

  it("prefers the longest name that exists", () => {
    expect(paths("my cat.png", "cat.png")).toEqual(["cat.png"]);
    expect(paths("my cat.png", "cat.png", "my cat.png")).toEqual(["my cat.png"]);
    expect(paths("a.png b.png", "a.png", "b.png", "a.png b.png")).toEqual(["a.png b.png"]);
    expect(paths("a.png.bak.png", "a.png", "a.png.bak.png")).toEqual(["a.png.bak.png"]);
  });

  it("finds several, each once, in order", () => {
    expect(paths("compare a.png with ./b.JPG and a.png", "a.png", "./b.JPG")).toEqual(["a.png", "./b.JPG"]);
    expect(
      paths("'/a/x 1.png' '/a/y.png' /a/z\\ 2.png ", "/a/x 1.png", "/a/y.png", "/a/z 2.png"),
    ).toHaveLength(3);
    expect(paths("a.png,b.png", "a.png", "b.png")).toEqual(["a.png", "b.png"]);
    expect(paths('<img src="./x.png">', "./x.png")).toEqual(["./x.png"]);
    expect(paths("![a cat](./x.png)", "./x.png")).toEqual(["./x.png"]);
    expect(paths(`"look at a.png and b.png"`, "a.png", "b.png")).toEqual(["a.png", "b.png"]);
    expect(paths("what's x.png's colour? isn't y.png's the same?", "x.png", "y.png")).toEqual([
      "x.png",
      "y.png",
    ]);
  });

  it.each([
    ["x.png", "what is x.png?", "x.png"],
    ["./x.png", "./x.png", "./x.png"],
    ["~/x.png", "~/x.png", "/home/me/x.png"],
    ["./my cat.png", "'./my cat.png' please", "./my cat.png"],
    ["./my cat.png", String.raw`./my\ cat.png`, "./my cat.png"],
    ["/a/x.txt", "read /a/x.txt.", "/a/x.txt"],
    ["file:///a/x%20y.png", "(file:///a/x%20y.png)", "/a/x y.png"],
    ["lost.png", "lost.png,found.png", "lost.png"],
    ["lost.png", 'is "lost.png" here', "lost.png"],
  ])("reports a path that leads nowhere: %s", (written, line, path) => {
    expect(find(line, "found.png").missing).toEqual([{ written, path }]);
  });

  it.each([
    "and/or, 1/2, e.g. v1.5, 24/7, etc.",
    "what does /etc/hosts do in ~/bin, or ./gradlew",
    "is .png better than .jpg? PNG/JPEG",
    "convert *.png please",
    "the `x.png` format and ``./y.png`` in general",
    "```\n./x.png\n```",
    "/set system you are helpful",
    "send report.pdf to me@example.com",
    "don't 'quote' \"me\" it's 5 o'clock",
    "x.png-like things",
    "",
    "   ",
  ])("leaves ordinary text alone: %s", (line) => {
    expect(find(line)).toEqual({ prompt: line.trim(), attachments: [], missing: [], urls: [] });
  });

  it("reports addresses of pictures and does not take them for paths", () => {
    const line =
      "what is https://e.com/cat.png, (http://e.com/a.jpg?w=1) or https://e.com/page or www.e.com/b.gif";
    expect(find(line, "cat.png", "e.com/cat.png", "//e.com/cat.png")).toEqual({
      prompt: line,
      attachments: [],
      missing: [],
      urls: ["https://e.com/cat.png", "http://e.com/a.jpg?w=1", "www.e.com/b.gif"],
    });
  });
});

/** Any file name that a disk can hold, with a picture's ending. */
const fileName = fc
  .tuple(
    fc.string({ unit: "binary", minLength: 1, maxLength: 30 }),
    fc.constantFrom("png", "JPG", "jpeg", "webp", "TIFF"),
  )
  .filter(([stem]) => !/[/\0\n]/.test(stem) && /[^.\s]/.test(stem) && stem.isWellFormed())
  .map(([stem, ending]) => `${stem}.${ending}`);

const folder = fc.constantFrom("/tmp/", "/a b/it's/", "./", "../", "/ü/");
const around = fc.constantFrom("", "look at", "what's in", "compare this:", "1/2 of", 'he said "no" to');

const FORMS: Record<string, (path: string) => string> = {
  "single quotes": (path) => `'${path.replaceAll("'", String.raw`'\''`)}'`,
  "double quotes": (path) => `"${path.replace(/["\\$`]/g, String.raw`\$&`)}"`,
  "shell escapes": (path) => path.replace(/[^\p{L}\p{N}./_-]/gu, String.raw`\$&`),
};

describe("findAttachments, any file name", () => {
  it.each(Object.entries(FORMS))("is found again in %s", (_, write) => {
    fc.assert(
      fc.property(folder, fileName, around, around, (directory, name, before, after) => {
        const path = directory + name;
        const line = [before, write(path), after].filter((part) => part !== "").join(" ");
        const { attachments, prompt, missing } = find(line, path);
        expect(attachments).toEqual([{ path, written: path }]);
        expect(missing).toEqual([]);
        expect(prompt).toBe([before, after].filter((part) => part !== "").join(" "));
      }),
      { numRuns: 500 },
    );
  });

  it("is found again as a file URL", () => {
    fc.assert(
      fc.property(fileName, around, around, (name, before, after) => {
        const path = `/tmp/${name}`;
        const line = `${before} ${pathToFileURL(path).href} ${after}`;
        expect(find(line, path).attachments.map((found) => found.path)).toEqual([path]);
      }),
    );
  });

  it("is found again unquoted, with single blanks between its words", () => {
    const word = fc.stringMatching(/^[\w()+~-]{1,8}$/);
    const words = fc.array(word, { minLength: 1, maxLength: 6 }).map((parts) => `${parts.join(" ")}.png`);
    fc.assert(
      fc.property(folder, words, around, (directory, name, before) => {
        const path = directory + name;
        expect(find(`${before} ${path}, and then?`, path).attachments).toEqual([{ path, written: path }]);
      }),
    );
  });

  it("never throws, and takes nothing that is not on disk", () => {
    const piece = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom(
        "x.png",
        "./",
        "'",
        '"',
        "`",
        "\\",
        " ",
        "file://",
        "https://",
        "%",
        "(",
        "~/",
        ".jpg",
        "C:\\",
        "“",
      ),
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        expect(find(pieces.join("")).attachments).toEqual([]);
        expect(() => findAttachments(pieces.join(""), () => true, HOME)).not.toThrow();
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    "(",
    '"',
    "'",
    "`",
    "\\",
    "a.png ",
    "a.png,",
    "(/",
    "/a.b",
    "“ ",
    "'a ",
    '("" ',
    "https://",
    "www.",
    "a ",
    ".png",
    "file:///a%",
    '"\\" ',
    "./a.txt ",
    "`` ` ",
    "x'\\''",
    "<a.png>",
    "(((./a.png)))",
    " ",
  ])("asks a bounded number of times about 100 kB of %s", (unit) => {
    const line = unit.repeat(Math.ceil(100_000 / unit.length));
    for (const answer of [false, true]) {
      let asked = 0;
      findAttachments(line, () => (asked++, answer), HOME);
      expect(asked).toBeLessThan(60_000);
    }
  });
});
