import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';
import { licences } from './scripts/licences.mjs';

/** `ui/dist` is committed: the output must be the same bytes on every machine. */
export default defineConfig({
  base: './',
  plugins: [react(), licences()],
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    target: 'es2022',
    sourcemap: false,
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
    reportCompressedSize: false,
    license: false,
  },
});
