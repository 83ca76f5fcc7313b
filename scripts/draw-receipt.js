/**
 * Draws docs/receipt.svg: what the command prints for three pictures, as a terminal shows it.
 * Run it after a change of the receipt's form: node scripts/draw-receipt.js
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { prepare, root } from "./prepare.js";

prepare();
const question = "What's in this image?";
const pictures = ["examples/smile.png", "examples/sideways.jpg"];
const lines = [];
for (const picture of pictures) {
  const args = ["run", "pico", "--receipt", question, picture];
  const { stdout, stderr, status } = spawnSync(process.execPath, [join("dist", "cli", "main.js"), ...args], {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
  });
  if (status !== 0) throw new Error(stderr);
  lines.push({ text: `$ mull run pico "${question}" ${picture}`, colour: "#e6edf3" });
  for (const text of stderr.trimEnd().split("\n")) lines.push({ text, colour: "#8b949e" });
  lines.push({ text: stdout.trimEnd(), colour: "#7ee787" }, { text: "", colour: "" });
}
lines.pop();

const [lineHeight, padding, characterWidth] = [21, 18, 8.43];
const columns = Math.max(...lines.map(({ text }) => text.length));
const [width, height] = [
  Math.ceil(columns * characterWidth) + 2 * padding,
  lines.length * lineHeight + 2 * padding,
];
const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const rows = lines.map(
  ({ text, colour }, index) =>
    `  <text x="${padding}" y="${padding + 15 + index * lineHeight}" fill="${colour}" xml:space="preserve">${escape(text)}</text>`,
);
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
  <rect width="100%" height="100%" rx="8" fill="#0d1117"/>
  <g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14">
${rows.filter((row) => !row.includes('fill=""')).join("\n")}
  </g>
</svg>
`;
writeFileSync(join(root, "docs", "receipt.svg"), svg);
