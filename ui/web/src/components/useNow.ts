import { useEffect, useState } from 'react';

const STEP_MS = 10_000;

/** The present, in steps of ten seconds: for "12 minutes ago" and for how long something has lasted. */
export function useNow(): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), STEP_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}
