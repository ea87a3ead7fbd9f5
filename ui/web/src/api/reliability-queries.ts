import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useWindow } from '../app/window';
import { getJson } from './client';
import { hearSlots } from './queries';
import type {
  Cause,
  CauseSummary,
  Change,
  IncidentDetail,
  IncidentsAnswer,
  MapAnswer,
  ServiceAnswer,
  SloDetail,
  SlosAnswer,
} from './reliability';

/** Objectives are evaluated every 10 s: asking more often shows nothing new. */
const EVALUATED_MS = 10_000;
/** While a report is being made. */
const SOON_MS = 2000;

export function useSlos() {
  return useQuery({
    queryKey: ['slos'],
    queryFn: async ({ signal }) => {
      const answer = await getJson<SlosAnswer>('/api/slos', {}, signal);
      hearSlots(answer.slos.map(({ service, slot }) => ({ name: service, slot })));
      return answer;
    },
    refetchInterval: EVALUATED_MS,
  });
}

export function useSlo(id: string) {
  return useQuery({
    queryKey: ['slo', id],
    queryFn: ({ signal }) => getJson<SloDetail>(`/api/slos/${encodeURIComponent(id)}`, {}, signal),
    refetchInterval: EVALUATED_MS,
  });
}

export function useIncidents(state: 'open' | 'resolved' | undefined, limit: number) {
  return useQuery({
    queryKey: ['incidents', state, limit],
    queryFn: ({ signal }) => getJson<IncidentsAnswer>('/api/incidents', { state, limit }, signal),
    placeholderData: keepPreviousData,
    refetchInterval: EVALUATED_MS,
  });
}

export function useIncident(id: string) {
  return useQuery({
    queryKey: ['incident', id],
    queryFn: ({ signal }) => getJson<IncidentDetail>(`/api/incidents/${encodeURIComponent(id)}`, {}, signal),
    refetchInterval: ({ state }) => (state.data?.cause.state === 'running' ? SOON_MS : EVALUATED_MS),
  });
}

/** A kept report never changes. */
export function useCause(id: string) {
  return useQuery({
    queryKey: ['cause', id],
    queryFn: ({ signal }) => getJson<Cause>(`/api/causes/${encodeURIComponent(id)}`, {}, signal),
    staleTime: Number.POSITIVE_INFINITY,
  });
}

export function useCauses(limit: number) {
  return useQuery({
    queryKey: ['causes', limit],
    queryFn: ({ signal }) => getJson<{ causes: CauseSummary[] }>('/api/causes', { limit }, signal),
  });
}

export function useChanges() {
  const { window } = useWindow();
  return useQuery({
    queryKey: ['changes', window.from, window.to],
    queryFn: ({ signal }) =>
      getJson<{ changes: Change[] }>('/api/changes', { from: window.from, to: window.to }, signal),
    placeholderData: keepPreviousData,
  });
}

export function useMap() {
  const { window } = useWindow();
  return useQuery({
    queryKey: ['map', window.from, window.to],
    queryFn: async ({ signal }) => {
      const answer = await getJson<MapAnswer>('/api/map', { from: window.from, to: window.to }, signal);
      hearSlots(answer.nodes.flatMap(({ name, slot }) => (slot === null ? [] : [{ name, slot }])));
      return answer;
    },
    placeholderData: keepPreviousData,
  });
}

export function useService(name: string) {
  const { window } = useWindow();
  return useQuery({
    queryKey: ['service', name, window.from, window.to],
    queryFn: ({ signal }) =>
      getJson<ServiceAnswer>(`/api/services/${encodeURIComponent(name)}`, { from: window.from, to: window.to }, signal),
  });
}
