import { expect, it } from 'vitest';
import { eventReader } from './events';

it('reads events across pieces and skips comments', () => {
  const read = eventReader();
  expect(read(': hi\n\nevent: rows\ndata: {"rows"')).toEqual([]);
  expect(read(':[]}\n')).toEqual([]);
  expect(read('\nevent: dropped\r\ndata: 1\r\ndata: 2\r\n\r\n')).toEqual([
    { event: 'rows', data: '{"rows":[]}' },
    { event: 'dropped', data: '1\n2' },
  ]);
});
