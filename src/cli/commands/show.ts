import { estimateModelMemory } from "../../engine/estimate-memory.ts";
import { projectorFacts } from "../../store/facts/projector-facts.ts";
import { readModelFacts } from "../../store/facts/model-facts.ts";
import type { ModelSetup } from "../../store/model-setup.ts";
import { modelfileOf } from "../../store/modelfile/modelfile.ts";
import { parametersOf, parameterTexts } from "../../store/modelfile/parameters.ts";
import { printModelfile } from "../../store/modelfile/print-modelfile.ts";
import { resolveModel } from "../../store/resolve-model.ts";
import type { LoadOptions } from "../../spec/options.ts";
import type { CliContext } from "../cli-context.ts";
import { filesOf } from "../terminal/model-files.ts";
import { formatBytes, formatParameters } from "../terminal/format-quantity.ts";
import { safeName, safeText } from "../terminal/safe-text.ts";

type Row = readonly [label: string, value: string];
