import { textOf } from "../../chat/text-of.ts";
import { MullError } from "../../spec/errors.ts";
import type { Message } from "../../spec/message.ts";
import { CHOSEN_TEMPLATE, type Descriptor, layer, type LayerKind } from "../manifest.ts";
import { MESSAGE_ROLES, type ModelfileMessage } from "../modelfile/modelfile.ts";
import { encodeParametersLayer, parametersOf } from "../modelfile/parameters.ts";
import type { BaseSetup, Creation } from "./creation.ts";

/**
 * What is set for a model that has no manifest, as the layers that one would have.
 *
 * @throws MullError `invalid_argument` for a conversation that layers cannot hold
 */
export async function textsOfSetup(setup: BaseSetup, { store, pin }: Creation): Promise<Descriptor[]> {
  const { load, system = "", generation = {}, messages = [], licenses = [] } = setup;
  const layers: Descriptor[] = [];
  const write = async (
    kind: LayerKind,
    text: string,
    annotations?: Record<string, string>,
  ): Promise<void> => {
    const { digest, size } = await store.writeBlob(new TextEncoder().encode(text));
    await pin.add([digest]);
    layers.push({ ...layer(kind, digest, size), ...(annotations === undefined ? {} : { annotations }) });
  };
  const { key, value } = CHOSEN_TEMPLATE;
  if (load.template !== undefined) await write("template", load.template, { [key]: value });
  else if (load.fallbackTemplate !== undefined) await write("template", load.fallbackTemplate);
  if (system !== "") await write("system", system);
  const parameters = parametersOf(generation, load);
  if (Object.keys(parameters).length > 0) await write("params", encodeParametersLayer(parameters));
  if (messages.length > 0) await write("messages", JSON.stringify(messages.map(textMessage)));
  for (const license of licenses) await write("license", license);
  return layers;
}

function textMessage(message: Message): ModelfileMessage {
  const role = MESSAGE_ROLES.find((known) => known === message.role);
  const isText = typeof message.content === "string" || message.content.every((part) => part.type === "text");
  if (role !== undefined && isText) return { role, content: textOf(message) };
  throw new MullError("invalid_argument", "The model brings along a conversation with pictures or tools.", {
    hint: "Messages of a model can only be text. Save it anew without that conversation.",
  });
}
