/**
 * The server that the tests look at: the one at `RL_BASE_URL`, or the binary `RL_SERVER_BIN` started on free ports
 * and a folder of its own, with the demo shop beside it. Ready means that services, logs and traces can be found.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    baseUrl: string;
  }
}

const OBJECTIVES = new URL('../../../src/demo/objectives', import.meta.url).pathname;
const READY_MS = 150_000;
const POLL_MS = 250;
const STOP_MS = 15_000;
/** Less than `--demo` sends: a debug build on two busy cores answers over this much at once. */
const SHOP = ['--history', '10m', '--spans-per-second', '40'];

/** Polls until `ask` answers with something; throws what it last complained about when it takes too long. */
async function until<T>(what: string, ask: () => Promise<T | null>): Promise<T> {
  const deadline = Date.now() + READY_MS;
  let last: unknown = null;
  while (Date.now() < deadline) {
    try {
      const found = await ask();
      if (found !== null) return found;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`${what} did not happen within ${READY_MS / 1000} s; last: ${String(last)}`);
}

async function demoDataAt(baseUrl: string): Promise<void> {
  const json = async (path: string) => (await fetch(baseUrl + path)).json() as Promise<Record<string, unknown[]>>;
  await until('demo data', async () => {
    const { services } = await json('/api/services?from=now-1h&to=now');
    const { rows } = await json('/api/logs?limit=1&from=now-1h&to=now');
    const { traces } = await json('/api/traces?limit=1&status=error&from=now-1h&to=now');
    return (services?.length ?? 0) >= 10 && rows?.length && traces?.length ? true : null;
  });
}

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const given = process.env.RL_BASE_URL;
  if (given) {
    const baseUrl = given.replace(/\/$/, '');
    await demoDataAt(baseUrl);
    project.provide('baseUrl', baseUrl);
    return undefined;
  }
  const binary = process.env.RL_SERVER_BIN;
  if (!binary) throw new Error('set RL_BASE_URL to a running server or RL_SERVER_BIN to the binary to start');
  const folder = mkdtempSync(join(tmpdir(), 'rootline-e2e-'));
  // What the shop promises: the faults of the demo break it, and incidents follow.
  if (existsSync(OBJECTIVES)) cpSync(OBJECTIVES, join(folder, 'objectives'), { recursive: true });
  const any = '127.0.0.1:0';
  const server: ChildProcess = spawn(
    binary,
    ['serve', '--data-dir', folder, '--http', any, '--otlp-http', any, '--otlp-grpc', any],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  let shop: ChildProcess | undefined;
  const exited = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  const stop = async (): Promise<void> => {
    shop?.kill('SIGTERM');
    server.kill('SIGTERM');
    const timer = setTimeout(() => server.kill('SIGKILL'), STOP_MS);
    await exited;
    clearTimeout(timer);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const file = join(folder, 'listeners.json');
    const listeners = await until('listeners.json', async () => {
      if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode}`);
      return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { http: string; otlp_grpc: string }) : null;
    });
    shop = spawn(binary, ['demo', '--target', `http://${listeners.otlp_grpc}`, ...SHOP], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const baseUrl = `http://${listeners.http}`;
    await demoDataAt(baseUrl);
    project.provide('baseUrl', baseUrl);
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}
