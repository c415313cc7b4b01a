// The tools of a gateway for pi, which speaks no Model Context Protocol itself. What
// is put before this is `gateway`: name, program, arguments and variables of a server.
// Without the server pi does not start, and when it ends, pi ends.

import { spawn } from "node:child_process";

const REVISION = "2025-06-18";
const PAGES_MAX = 64;

function gone(why) {
  process.stderr.write(`the gateway ${gateway.name} cannot be used: ${why}\n`);
  process.exit(1);
}

function start() {
  const server = spawn(gateway.program, gateway.arguments, {
    env: { PATH: process.env.PATH, ...gateway.variables },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const pending = new Map();
  let asked = 0;
  const write = (message) =>
    server.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  server.on("error", (error) => gone(error.message));
  server.on("exit", (code, signal) => gone(`it ended with ${code ?? signal}`));
  server.stdin.on("error", (error) => gone(error.message));
  const hear = (line) => {
    const said = JSON.parse(line);
    if (said.method !== undefined) {
      if (said.id !== undefined) {
        const error = { code: -32601, message: "nobody answers such requests here" };
        write(said.method === "ping" ? { id: said.id, result: {} } : { id: said.id, error });
      }
      return;
    }
    const waiting = pending.get(said.id);
    pending.delete(said.id);
    if (said.error !== undefined) waiting?.reject(new Error(said.error.message));
    else waiting?.resolve(said.result);
  };
  // Lines end with a line feed and nothing else.
  let kept = [];
  server.stdout.on("data", (bytes) => {
    let from = 0;
    for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, from)) {
      const line = Buffer.concat([...kept, bytes.subarray(from, at)]).toString("utf8");
      [kept, from] = [[], at + 1];
      try {
        hear(line);
      } catch (error) {
        gone(`it does not speak the protocol: ${error.message}`);
      }
    }
    kept.push(bytes.subarray(from));
  });
  const ask = (method, params, signal) =>
    new Promise((resolve, reject) => {
      asked += 1;
      const id = asked;
      pending.set(id, { resolve, reject });
      signal?.addEventListener("abort", () => {
        if (!pending.delete(id)) return;
        write({ method: "notifications/cancelled", params: { requestId: id } });
        reject(new Error("interrupted"));
      });
      write({ id, method, params });
    });
  return { ask, write };
}

/** What a tool answered, in pi's words. */
function content(result) {
  return (result.content ?? []).map((block) => {
    if (block.type === "text") return { type: "text", text: block.text };
    if (block.type === "image") {
      return { type: "image", data: block.data, mimeType: block.mimeType };
    }
    return { type: "text", text: JSON.stringify(block) };
  });
}

export default async function (pi) {
  const { ask, write } = start();
  await ask("initialize", {
    protocolVersion: REVISION,
    capabilities: {},
    clientInfo: { name: "hotcell", version: "1" },
  });
  write({ method: "notifications/initialized" });
  let cursor;
  for (let page = 0; page === 0 || (cursor !== undefined && page < PAGES_MAX); page += 1) {
    const listed = await ask("tools/list", cursor === undefined ? {} : { cursor });
    cursor = listed.nextCursor;
    for (const tool of listed.tools) {
      pi.registerTool({
        name: `${gateway.name}_${tool.name}`,
        label: tool.title ?? tool.name,
        description: tool.description ?? tool.name,
        parameters: tool.inputSchema,
        async execute(_call, parameters, signal) {
          const result = await ask("tools/call", { name: tool.name, arguments: parameters }, signal);
          const blocks = content(result);
          if (result.isError === true) {
            throw new Error(blocks.map((block) => block.text ?? "an image").join("\n"));
          }
          return { content: blocks, details: undefined };
        },
      });
    }
  }
}
