import type { NotFoundHandler } from "hono";
import { MullError } from "../../spec/errors.ts";
import { pathPattern, type RequestContext, type ServerApp } from "../route-module.ts";
import type { ServerContext, ServerEnvironment } from "../server-context.ts";
import { errorResponse } from "./send-error.ts";

/** Longest path that an error repeats. */
const SHOWN_PATH = 200;

export function refuseUnknownRoute(context: ServerContext): NotFoundHandler<ServerEnvironment> {
  return (c) => {
    const error = new MullError("not_found", `There is no ${c.req.path.slice(0, SHOWN_PATH)} here.`, {
      hint: "GET /openapi.json lists what there is.",
    });
    return errorResponse(c, context, error);
  };
}

/** Answers every other method of the routes added so far with 405 and the methods that there are. Call it last. */
export function refuseMethods(app: ServerApp): void {
  const methodsByPath = new Map<string, Set<string>>();
  for (const { path, method } of app.routes) {
    if (method === "ALL") continue;
    const methods = methodsByPath.get(path) ?? new Set();
    methodsByPath.set(path, methods.add(method));
  }
  for (const definition of app.openAPIRegistry.definitions) {
    if (definition.type !== "route" || definition.route.method !== "head") continue;
    methodsByPath.get(pathPattern(definition.route))?.add("HEAD");
  }
  for (const [path, methods] of methodsByPath) {
    if (methods.has("GET")) methods.add("HEAD");
    const allow = [...methods.add("OPTIONS")].sort().join(", ");
    app.all(path, (c: RequestContext) => {
      c.header("Allow", allow);
      if (c.req.method === "OPTIONS") return c.body(null, 204);
      throw new MullError("method_not_allowed", `${path} does not answer ${c.req.method.slice(0, 20)}.`, {
        hint: `It answers ${allow}.`,
      });
    });
  }
}
