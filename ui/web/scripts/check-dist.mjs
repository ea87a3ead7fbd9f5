// Builds into a temporary folder and fails when the committed bundle differs in a single byte.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const committed = new URL('../../dist/', import.meta.url).pathname;
const fresh = mkdtempSync(join(tmpdir(), 'rootline-dist-'));
execFileSync('npx', ['vite', 'build', '--logLevel', 'warn', '--outDir', fresh, '--emptyOutDir'], { stdio: 'inherit' });
const list = (folder) =>
  readdirSync(folder, { recursive: true })
    .map(String)
    .filter((name) => statSync(join(folder, name)).isFile())
    .sort();
const names = [...new Set([...list(committed), ...list(fresh)])];
const read = (folder, name) => {
  try {
    return readFileSync(join(folder, name));
  } catch {
    return null;
  }
};
const different = names.filter((name) => {
  const [a, b] = [read(committed, name), read(fresh, name)];
  return !a || !b || !a.equals(b);
});
rmSync(fresh, { recursive: true });
for (const name of different) console.log(`differs from its source: ui/dist/${name}`);
if (different.length) process.exit(1);
console.log(`ui/dist is what its source builds: ${names.length} files`);
