/** One runtime for multi-modal language models: the public API. */
export { load } from "./engine/load.ts";
export { connect, type ConnectOptions } from "./providers/remote-model.ts";
export { ERROR_TABLE, MullError, type ErrorCode, type SerializedError } from "./spec/errors.ts";
export type { ImageDetail, ImagePart, MediaSource, Message, Part, TextPart } from "./spec/message.ts";
export type {
  AskOptions,
  Capability,
  EmbedInput,
  EmbedOptions,
  Embeddings,
  EngineStats,
  InspectOptions,
  Model,
  ModelDefaults,
  ModelInfo,
  StreamRequest,
} from "./spec/model.ts";
export type { Compatibility, EncoderPrecision, GenerationOptions, LoadOptions } from "./spec/options.ts";
export type { MediaReceipt, MediaStep } from "./spec/receipt.ts";
export type { FinishReason, ProgressPart, StreamPart, Timings, TokenLogprob, Usage } from "./spec/stream.ts";
export type { JsonSchema, Tool, ToolCall, ToolChoice } from "./spec/tool.ts";
