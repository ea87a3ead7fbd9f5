import './app/styles';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { ApiError } from './api/client';
import { router } from './app/router';

// Overlays lock scrolling with a style element of their own; the library reads its nonce from here.
Object.assign(globalThis, {
  __webpack_nonce__: document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content,
});

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // Only what may succeed when asked again: no answer at all, and a busy server.
      retry: (failures, error) => failures < 2 && error instanceof ApiError && [0, 429, 503].includes(error.status),
      refetchOnWindowFocus: false,
      gcTime: 60_000,
    },
  },
});

const host = document.getElementById('root');
if (host) {
  createRoot(host).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  );
}
