import { createRoute } from "@hono/zod-openapi";
import { expect, it } from "vitest";
import { fakeContext } from "../../../../test/support/fake-server.ts";
import { createApp } from "../../create-app.ts";
import { addRoute } from "../../route-module.ts";
import { sendProgress } from "./send-progress.ts";

it("tells of no file of this machine", async () => {
  const route = createRoute({ method: "post", path: "/work", responses: { 200: { description: "" } } });
  const app = createApp(fakeContext(), [
    (server, context) =>
      addRoute(server, route, (c) =>
        sendProgress(c, context, true, async (onProgress) => {
          onProgress({ status: "pulling 0123456789ab", total: 2, completed: 1 });
          onProgress({ status: "couldn't remove unused layers: /var/lib/mull/blobs/x.gguf: EACCES" });
        }),
      ),
  ]);
  const response = await app.request("/work", { method: "POST" });
  expect(await response.text()).toBe(
    '{"status":"pulling 0123456789ab","total":2,"completed":1}\n' +
      '{"status":"couldn\'t remove unused layers: a file: EACCES"}\n',
  );
});
