// Holds the size budgets of the bundle (compressed with gzip) and refuses what a content security policy would block.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const dist = new URL('../../dist/', import.meta.url).pathname;
const files = readdirSync(dist, { recursive: true })
  .map(String)
  .filter((name) => statSync(join(dist, name)).isFile());
const size = (name) => gzipSync(readFileSync(join(dist, name)), { level: 9 }).length;
const html = readFileSync(join(dist, 'index.html'), 'utf8');

// What the first load needs: the files named in index.html and, transitively, their static imports.
function staticImports(name, seen = new Set()) {
  if (seen.has(name)) return seen;
  seen.add(name);
  const code = readFileSync(join(dist, name), 'utf8');
  for (const [, target] of code.matchAll(/(?:^|[;}\s])(?:import|export)[^'"();]*?from?\s*["']\.\/([\w.-]+\.js)["']/g)) {
    staticImports(`assets/${target}`, seen);
  }
  return seen;
}
const entry = [...html.matchAll(/(?:src|href)="\.\/(assets\/[\w.-]+\.js)"/g)].map((m) => m[1]);
const first = new Set(entry.flatMap((name) => [...staticImports(name)]));
const styles = files.filter((name) => html.includes(`./${name}`) && name.endsWith('.css'));
const chunks = files.filter((name) => name.endsWith('.js') && !first.has(name));
const sum = (names) => names.reduce((total, name) => total + size(name), 0);
const raw = files.reduce((total, name) => total + statSync(join(dist, name)).size, 0);

const kB = 1000;
const checks = [
  ['first load, JS', sum([...first]), 250 * kB],
  ['first load, CSS', sum(styles), 20 * kB],
  ...chunks.map((name) => [`chunk ${name}`, size(name), (/editor/i.test(name) ? 160 : 60) * kB]),
  ['whole dist, raw', raw, 3000 * kB],
  ['whole dist, compressed', sum(files), 900 * kB],
];
let failed = false;
for (const [what, bytes, budget] of checks) {
  const over = bytes > budget;
  failed ||= over;
  console.log(
    `${over ? 'OVER ' : 'ok   '} ${what.padEnd(44)} ${(bytes / kB).toFixed(1).padStart(8)} kB of ${budget / kB} kB`,
  );
}
const require = (holds, message) => {
  if (!holds) {
    failed = true;
    console.log(`FAIL  ${message}`);
  }
};
require(!/<script(?![^>]*\ssrc=)/.test(html), 'index.html has an inline script');
require(!/<style|\sstyle=/.test(html), 'index.html has an inline style');
require(html.includes('content="__CSP_NONCE__"'), 'index.html lost the place of the style nonce');
for (const name of files.filter((file) => /\.(js|css|html)$/.test(file))) {
  const text = readFileSync(join(dist, name), 'utf8');
  require(!/url\(["']?https?:|@import/.test(text), `${name} loads something from outside`);
  require(!text.includes(process.cwd()), `${name} contains a path of this machine`);
}
process.exit(failed ? 1 : 0);
