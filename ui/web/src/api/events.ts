import { send } from './client';

export interface ServerEvent {
  event: string;
  data: string;
}

/** Reads server-sent events out of text as it arrives; what is unfinished waits for the next piece. */
export function eventReader(): (piece: string) => ServerEvent[] {
  let rest = '';
  return (piece) => {
    rest += piece;
    const events: ServerEvent[] = [];
    for (let at = rest.search(/\r?\n\r?\n/); at >= 0; at = rest.search(/\r?\n\r?\n/)) {
      const block = rest.slice(0, at);
      rest = rest.slice(at).replace(/^\r?\n\r?\n/, '');
      const event: ServerEvent = { event: 'message', data: '' };
      const data: string[] = [];
      for (const line of block.split(/\r?\n/)) {
        const [, field, value = ''] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
        if (field === 'event') event.event = value;
        if (field === 'data') data.push(value);
      }
      if (!data.length) continue; // a comment that keeps the connection alive
      event.data = data.join('\n');
      events.push(event);
    }
    return events;
  };
}

/** Follows a stream of events until it ends or `signal` aborts. With `fetch`, because `EventSource` cannot send a token. */
export async function follow(
  url: string,
  onOpen: () => void,
  onEvent: (event: ServerEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const response = await send(url, { signal, headers: { Accept: 'text/event-stream' } });
  if (!response.body) return;
  onOpen();
  const read = eventReader();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    for (const event of read(value)) onEvent(event);
  }
}
