/** Lays graphs out off the main thread: answers each request with its number and its layout. */
import { type LayoutRequest, laidOut } from './layout';

addEventListener('message', ({ data }: MessageEvent<{ id: number; request: LayoutRequest }>) => {
  postMessage({ id: data.id, layout: laidOut(data.request) });
});
