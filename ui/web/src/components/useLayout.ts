import { useEffect, useRef, useState } from 'react';
import type { Layout } from '../state/boxes';
import type { LayoutRequest } from '../state/layout';

/** Lays a graph out in a worker. The layout before stays until the next one is ready; null until there is one. */
export function useLayout(request: LayoutRequest | null): { layout: Layout | null; busy: boolean } {
  const worker = useRef<Worker | null>(null);
  const asked = useRef(0);
  const [answer, setAnswer] = useState<{ id: number; layout: Layout } | null>(null);
  const [wanted, setWanted] = useState(0);
  useEffect(() => {
    const made = new Worker(new URL('../state/layout.worker.ts', import.meta.url), { type: 'module' });
    made.onmessage = ({ data }: MessageEvent<{ id: number; layout: Layout }>) => {
      if (data.id === asked.current) setAnswer(data);
    };
    worker.current = made;
    return () => made.terminate();
  }, []);
  useEffect(() => {
    if (!request || !worker.current) return;
    asked.current += 1;
    setWanted(asked.current);
    worker.current.postMessage({ id: asked.current, request });
  }, [request]);
  return { layout: answer?.layout ?? null, busy: Boolean(request) && answer?.id !== wanted };
}
