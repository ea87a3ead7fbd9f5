// Collects the licence texts of the packages whose code is in the bundle into `licences.txt`.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Folder of the package that a bundled module belongs to, or null for our own code. */
function packageFolder(id) {
  const clean = id.replace(/^\0/, '').split('?')[0];
  const at = clean.lastIndexOf('/node_modules/');
  if (at < 0) return null;
  let folder = dirname(clean);
  while (folder.length > at + '/node_modules/'.length) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version) return folder;
    folder = dirname(folder);
  }
  return null;
}

function notice(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder)
    .sort()
    .find((entry) => /^licen[cs]e/i.test(entry));
  const text = file ? readFileSync(join(folder, file), 'utf8').replace(/\r\n/g, '\n').trim() : `Licence: ${license}`;
  return { name, version, license, text };
}

/** Vite plugin: writes `licences.txt` beside the bundle, sorted by package name. */
export function licences() {
  return {
    name: 'rootline-licences',
    apply: 'build',
    generateBundle(_options, bundle) {
      const folders = new Set();
      for (const chunk of Object.values(bundle)) {
        for (const id of Object.keys(chunk.modules ?? {})) {
          const folder = packageFolder(id);
          if (folder) folders.add(folder);
        }
      }
      // Style sheets are imported by our modules but are not listed as modules of a chunk; neither is what a worker imports.
      for (const name of ['@dagrejs/dagre', '@dagrejs/graphlib', '@mantine/core', '@mantine/spotlight', 'uplot']) {
        folders.add(join(process.cwd(), 'node_modules', name));
      }
      const notices = [...folders].map(notice).sort((a, b) => (a.name < b.name ? -1 : 1));
      const rule = '-'.repeat(80);
      const source = [
        'The web UI of Rootline contains the following packages.',
        ...notices.map((n) => `${rule}\n${n.name} ${n.version} (${n.license})\n${rule}\n${n.text}`),
      ].join('\n\n');
      this.emitFile({ type: 'asset', fileName: 'licences.txt', source: `${source}\n` });
    },
  };
}
