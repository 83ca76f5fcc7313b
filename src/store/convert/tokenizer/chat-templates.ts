import { join } from "node:path";
import { invalidModel, quote } from "../../../gguf/invalid-model.ts";
import { type MetadataValue, string, strings } from "../../../gguf/metadata.ts";
import { isObject, objectAt, textAt, wrongShape } from "./json-values.ts";
import type { JsonFile, ModelFolder } from "./model-folder.ts";

const MAX_TEMPLATE_CHARACTERS = 2 ** 20;
const MAX_TEMPLATES = 100;

/**
 * Chat templates as GGUF keys: `tokenizer.chat_template`, and one `tokenizer.chat_template.NAME` for each other.
 * The template of a processor (`chat_template.jinja` or `.json`) knows about pictures, so it goes before that of
 * `tokenizer_config.json`.
 */
export async function readChatTemplates(
  folder: ModelFolder,
  tokenizerConfig: JsonFile,
): Promise<[string, MetadataValue][]> {
  const templates = new Map<string, string>();
  addTemplates(templates, tokenizerConfig);
  addTemplates(templates, await folder.settings("chat_template.json"));
  const jinja = await folder.text("chat_template.jinja", MAX_TEMPLATE_CHARACTERS * 4);
  if (jinja !== undefined) templates.set("default", jinja);
  const more = "additional_chat_templates";
  for (const file of await folder.list(more)) {
    if (!file.endsWith(".jinja")) continue;
    const text = await folder.text(join(more, file), MAX_TEMPLATE_CHARACTERS * 4);
    if (text !== undefined) templates.set(keyName(file.slice(0, -".jinja".length)), text);
  }
  return templateKeys(folder, templates);
}

/** `chat_template` is a template, a list of `{name, template}`, or an object of templates by name. */
function addTemplates(templates: Map<string, string>, { path, root }: JsonFile): void {
  const value = root["chat_template"] ?? undefined;
  const field = `"chat_template"`;
  if (value === undefined) return;
  if (typeof value === "string") templates.set("default", textAt(path, field, value));
  else if (Array.isArray(value)) {
    for (const [index, entry] of value.entries()) {
      const { name, template } = objectAt(path, `${field}[${index}]`, entry);
      templates.set(
        keyName(textAt(path, `${field}[${index}].name`, name)),
        textAt(path, `${field}[${index}].template`, template),
      );
    }
  } else if (isObject(value)) {
    for (const [name, template] of Object.entries(value)) {
      templates.set(keyName(name), textAt(path, `${field}.${JSON.stringify(name)}`, template));
    }
  } else throw wrongShape(path, field, "a template or a list of templates", value);
}

function templateKeys(folder: ModelFolder, templates: Map<string, string>): [string, MetadataValue][] {
  if (templates.size > MAX_TEMPLATES) {
    throw invalidModel(
      folder.path,
      `there are ${templates.size} chat templates; at most ${MAX_TEMPLATES} are kept`,
    );
  }
  for (const [name, template] of templates) {
    if (template.length <= MAX_TEMPLATE_CHARACTERS) continue;
    const size = `${template.length} characters; at most 2^20 are read`;
    throw invalidModel(folder.path, `the chat template ${quote(name)} has ${size}`);
  }
  const main = templates.get("default");
  const others = [...templates].filter(([name]) => name !== "default");
  const keys: [string, MetadataValue][] = [];
  if (main !== undefined) keys.push(["tokenizer.chat_template", string(main)]);
  if (others.length > 0) keys.push(["tokenizer.chat_templates", strings(others.map(([name]) => name))]);
  for (const [name, template] of others) keys.push([`tokenizer.chat_template.${name}`, string(template)]);
  return keys;
}

/** Keys have letters, digits and underscores only. */
function keyName(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9]/g, "_").slice(0, 60) || "unnamed";
}
