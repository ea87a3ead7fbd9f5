import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { useWindow } from '../app/window';
import { getJson } from './client';
import type { HistogramAnswer, ServerStatus, ServicesAnswer } from './types';

const POLL_MS = 2000;

/** The server's own report. `live` asks again every two seconds while the page is visible. */
export function useStatus(live = false) {
  return useQuery({
    queryKey: ['status'],
    queryFn: ({ signal }) => getJson<ServerStatus>('/api/status', {}, signal),
    refetchInterval: live ? POLL_MS : false,
    staleTime: live ? 0 : 10_000,
  });
}

export function useServices() {
  const { window } = useWindow();
  return useQuery({
    queryKey: ['services', window.from, window.to],
    queryFn: ({ signal }) => getJson<ServicesAnswer>('/api/services', { from: window.from, to: window.to }, signal),
    placeholderData: keepPreviousData,
    staleTime: 60_000,
  });
}

export function useLogHistogram(q: string, buckets: number) {
  const { window } = useWindow();
  return useQuery({
    queryKey: ['log-histogram', q, window.from, window.to, buckets],
    queryFn: ({ signal }) =>
      getJson<HistogramAnswer>('/api/logs/histogram', { q, from: window.from, to: window.to, buckets }, signal),
    placeholderData: keepPreviousData,
  });
}

/** Stable stand-in for services that have no slot yet (only logs, or outside the window). */
function slotByName(name: string): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) >>> 0;
  return hash % 8;
}

/** Slots that any answer has told so far: the server keeps them for ever, so what was once heard stays true. */
const heard = new Map<string, number>();

/** Remembers the slots that an answer carries. */
export function hearSlots<T extends { name: string; slot?: number }>(services: readonly T[]): void {
  for (const { name, slot } of services) if (slot !== undefined) heard.set(name, slot);
}

/** Colour slot of each service, as the server numbered them. */
export function useSlots(): (service: string) => number {
  const { data } = useQuery({
    queryKey: ['slots'],
    queryFn: async ({ signal }) => {
      // Lists of log rows name services without their slots. A short window is enough: most services are busy.
      const { services } = await getJson<ServicesAnswer>('/api/services', { from: 'now-15m', to: 'now' }, signal);
      hearSlots(services);
      return heard.size;
    },
    staleTime: 5 * 60_000,
    retry: false,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new function when more slots are known draws rows anew
  return useMemo(() => (service: string) => heard.get(service) ?? slotByName(service), [data]);
}
