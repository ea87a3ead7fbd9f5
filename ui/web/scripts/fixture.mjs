// Serves the UI on fixture data: `--dev` with hot reload, otherwise ../dist under the server's content security policy.
// `--port N` (default 7071), `--empty` for a server that has received nothing, `--nodes N` for a map of that size, `--server URL` for a real server's answers.
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createServer, request as forward } from 'node:http';
import { extname, join } from 'node:path';
import { createServer as createVite } from 'vite';

const option = (name) => (process.argv.includes(name) ? process.argv[process.argv.indexOf(name) + 1] : undefined);
const dev = process.argv.includes('--dev');
const real = option('--server');
const shop = { empty: process.argv.includes('--empty'), nodes: Number(option('--nodes') ?? 0) };
const dist = new URL('../../dist/', import.meta.url).pathname;
const vite = await createVite({
  server: { middlewareMode: true, hmr: dev ? undefined : false, watch: dev ? undefined : null },
  appType: dev ? 'spa' : 'custom',
  base: '/',
  logLevel: 'warn',
});
const { handle } = await vite.ssrLoadModule('/fixture/api.ts');
const TYPES = {
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};

/** Hands an API request to the real server and its answer back as it streams. */
function proxy(request, response) {
  const { hostname, port, host } = new URL(real);
  const { origin: _origin, ...headers } = request.headers;
  const onward = forward(
    { hostname, port, path: request.url, method: request.method, headers: { ...headers, host } },
    (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    },
  );
  onward.on('error', () => response.destroy());
  response.on('close', () => onward.destroy());
  request.pipe(onward);
}

const server = createServer(async (request, response) => {
  if (real && request.url.startsWith('/api/')) return proxy(request, response);
  if (await handle(request, response, shop)) return;
  if (dev) return vite.middlewares(request, response);
  const path = join(dist, new URL(request.url, 'http://fixture').pathname);
  if (existsSync(path) && statSync(path).isFile() && extname(path) !== '.html') {
    response.writeHead(200, { 'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream' });
    return response.end(readFileSync(path));
  }
  const nonce = randomBytes(16).toString('base64');
  response.writeHead(200, {
    'Content-Type': 'text/html; charset=utf-8',
    'Cache-Control': 'no-store',
    'Content-Security-Policy': `default-src 'none'; script-src 'self'; style-src 'self' 'nonce-${nonce}'; img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'`,
  });
  response.end(readFileSync(join(dist, 'index.html'), 'utf8').replace('__CSP_NONCE__', nonce));
});
server.listen(Number(option('--port') ?? 7071), '127.0.0.1', () =>
  console.log(`listening on http://127.0.0.1:${server.address().port}`),
);
