import type { Problem } from './types';

/** A request that the server answered with an error, or that never reached it (`status` 0). */
export class ApiError extends Error {
  readonly status: number;
  readonly problem: Problem;
  constructor(status: number, problem: Problem) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`);
    this.status = status;
    this.problem = problem;
  }
}

const TOKEN_KEY = 'rootline.token';
const listeners = new Set<() => void>();

/** Access token for servers that ask for one; kept for this tab only. */
export const token = {
  get: (): string | null => sessionStorage.getItem(TOKEN_KEY),
  set(value: string | null): void {
    if (value) sessionStorage.setItem(TOKEN_KEY, value);
    else sessionStorage.removeItem(TOKEN_KEY);
  },
  /** Calls `listener` whenever the server refuses a request for want of a token. */
  onRefused(listener: () => void): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

/** `path` below the address that the application was loaded from. */
export function address(path: string, params: Record<string, string | number | undefined | null> = {}): string {
  const url = new URL(path.replace(/^\//, ''), document.baseURI);
  for (const [key, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== '') url.searchParams.set(key, String(value));
  }
  return url.toString();
}

async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text().catch(() => '');
  try {
    return JSON.parse(text) as Problem;
  } catch {
    return { title: response.statusText, detail: text.slice(0, 500) || `HTTP ${response.status}` };
  }
}

/** Sends a request with the token; answers with the response or throws `ApiError`. */
export async function send(url: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const secret = token.get();
  if (secret) headers.set('Authorization', `Bearer ${secret}`);
  let response: Response;
  try {
    response = await fetch(url, { ...init, headers });
  } catch (cause) {
    if (init.signal?.aborted) throw cause;
    throw new ApiError(0, { title: 'unreachable', detail: String(cause instanceof Error ? cause.message : cause) });
  }
  if (response.ok) return response;
  if (response.status === 401) for (const listener of listeners) listener();
  throw new ApiError(response.status, await problemOf(response));
}

type Params = Record<string, string | number | undefined | null>;

export async function getJson<T>(path: string, params: Params, signal?: AbortSignal): Promise<T> {
  const response = await send(address(path, params), signal ? { signal } : {});
  return (await response.json()) as T;
}

export async function postJson<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const init: RequestInit = {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  };
  const response = await send(address(path), signal ? { ...init, signal } : init);
  return (await response.json()) as T;
}
