import { afterAll, describe, expect, it } from "vitest";
import { TemplateRenderer } from "./template-renderer.ts";

const renderer = new TemplateRenderer({ timeLimitMs: 1000 });
afterAll(() => renderer.close());

const render = (template: string): Promise<string> =>
  renderer.render({
    template,
    messages: [{ role: "user", content: "hello" }],
    addGenerationPrompt: true,
    bosToken: "<s>",
    eosToken: "</s>",
  });

describe("TemplateRenderer", () => {
  it("renders messages and the tokenizer's texts", async () => {
    expect(await render("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}")).toBe("<s>hello</s>");
  });

  it("stops a template that loops, and renders the next one", async () => {
    const bomb = "{% for a in range(100000) %}{% for b in range(100000) %}{{ '' }}{% endfor %}{% endfor %}";
    let ticks = 0;
    const timer = setInterval(() => ticks++, 20);
    await expect(render(bomb)).rejects.toMatchObject({ code: "template_failed" });
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(5);
    expect(await render("{{ messages[0].content }}")).toBe("hello");
  });

  it("survives a template that eats memory", async () => {
    const eater =
      "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}";
    await expect(render(eater)).rejects.toMatchObject({ code: "template_failed" });
    expect(await render("ok")).toBe("ok");
  });

  it("passes on what the template itself raises", async () => {
    await expect(render("{{ raise_exception('roles must alternate') }}")).rejects.toThrow(
      "roles must alternate",
    );
  });

  it("renders Go templates, and stops those that loop", async () => {
    expect(await render("USER: {{ .Prompt }}\nASSISTANT:")).toBe("USER: hello\nASSISTANT:");
    const bomb = "{{ range 9999999 }}{{ range 9999999 }}{{ end }}{{ end }}{{ .Prompt }}";
    await expect(render(bomb)).rejects.toMatchObject({ code: "template_failed" });
    const eater = `{{ .Prompt }}${'{{ $x := "aaaaaaaa" }}{{ $x = printf "%s%s" $x $x }}'.repeat(400)}`;
    expect(await render(eater)).toMatch(/hello/);
    await expect(render('{{ define "x" }}{{ end }}{{ .Prompt }}')).rejects.toThrow(
      "line 1: it uses {{ define }}, which mull does not render",
    );
    expect(await render("ok")).toBe("ok");
  });

  it("names the fault of a broken template", async () => {
    await expect(render("{% for %}")).rejects.toMatchObject({ code: "template_failed" });
  });
});
