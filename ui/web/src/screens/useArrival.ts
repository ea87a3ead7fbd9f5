import { useEffect, useState } from 'react';
import { useStatus } from '../api/queries';
import { type Sample, sampled } from '../state/arrival';

/** The server's report, asked for again and again, and the counts it brought. */
export function useArrival() {
  const asked = useStatus(true);
  const [samples, setSamples] = useState<readonly Sample[]>([]);
  const { data, dataUpdatedAt } = asked;
  useEffect(() => {
    if (data) setSamples((now) => (now.at(-1)?.at === dataUpdatedAt ? now : sampled(now, data, dataUpdatedAt)));
  }, [data, dataUpdatedAt]);
  return { asked, samples };
}
