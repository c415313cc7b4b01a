// Passes requests on to a server and adds a bearer token: node proxy.mjs URL TOKEN
// The first line on standard error is the address of the proxy.
import http from "node:http";

const [, , url, token] = process.argv;
const target = new URL(url);
const proxy = http.createServer((request, response) => {
  const headers = { ...request.headers, authorization: `Bearer ${token}` };
  const options = { host: target.hostname, port: target.port, path: request.url, method: request.method, headers };
  const passed = http.request(options, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  passed.on("error", () => response.destroy());
  response.on("close", () => passed.destroy());
  request.pipe(passed);
});
proxy.listen(0, "127.0.0.1", () => {
  console.error(`http://127.0.0.1:${proxy.address().port}${target.pathname}`);
});
