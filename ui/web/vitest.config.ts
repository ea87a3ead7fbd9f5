import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { include: ['src/**/*.test.{ts,tsx}', 'fixture/**/*.test.ts'], environment: 'happy-dom', restoreMocks: true },
});
