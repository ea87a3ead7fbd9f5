import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PANEL, type Scheme, SERVICE, SEVERITY, STATUS, severityOf, slotColour } from './tokens';
import { contrast, seenDistance, VISIONS } from './vision';

const css = readFileSync('src/design/tokens.css', 'utf8');
const declared = (scheme: Scheme, name: string): string | undefined => {
  const block = css.split(`[data-mantine-color-scheme='${scheme}']`)[1]?.split('}')[0] ?? '';
  return new RegExp(`${name}:\\s*(#[0-9a-f]{6})`).exec(block)?.[1];
};

describe.each(['light', 'dark'] as const)('%s colours', (scheme) => {
  it.each(VISIONS)('service colours and the critical colour stay apart in %s vision', (vision) => {
    const colours = [...SERVICE[scheme], STATUS[scheme].crit];
    const close = colours.flatMap((a, i) =>
      colours.slice(i + 1).flatMap((b) => {
        const distance = seenDistance(a, b, vision);
        return distance < 0.1 ? [`${a} ${b} ${distance.toFixed(3)}`] : [];
      }),
    );
    expect(close).toEqual([]);
  });

  it('service, status and loud severity colours have 3:1 on the panel', () => {
    const { fatal, error, warn } = SEVERITY[scheme];
    const colours = [...SERVICE[scheme], ...Object.values(STATUS[scheme]), fatal, error, warn];
    expect(colours.filter((colour) => contrast(colour, PANEL[scheme]) < 3)).toEqual([]);
  });

  it('text has 4.5:1 on every surface it is drawn on', () => {
    const surfaces = ['--bg', '--panel', '--sunken', '--hover', '--sel'].map((name) => declared(scheme, name) ?? '');
    const texts = ['--ink', '--ink2', '--ink3', '--accent', '--text-warn', '--text-crit', '--text-ok'].map(
      (name) => declared(scheme, name) ?? '',
    );
    const weak = texts.flatMap((text) =>
      surfaces.flatMap((on) =>
        contrast(text, on) < 4.5 ? [`${text} on ${on}: ${contrast(text, on).toFixed(2)}`] : [],
      ),
    );
    expect(weak).toEqual([]);
  });

  it('style sheet and canvas share their values', () => {
    expect(declared(scheme, '--panel')).toBe(PANEL[scheme]);
    for (const status of ['ok', 'warn', 'crit', 'unknown'] as const) {
      expect(declared(scheme, `--status-${status}`)).toBe(STATUS[scheme][status]);
    }
    for (const severity of ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const) {
      expect(declared(scheme, `--sev-${severity}`)).toBe(SEVERITY[scheme][severity]);
    }
  });
});

describe('slots and severities', () => {
  it('repeats the eight colours', () => expect(slotColour('light', 9)).toBe(slotColour('light', 1)));
  it('maps OpenTelemetry numbers', () => {
    expect([0, 1, 5, 9, 13, 17, 21, 24, 25].map(severityOf)).toEqual([
      'unspecified',
      'trace',
      'debug',
      'info',
      'warn',
      'error',
      'fatal',
      'fatal',
      'unspecified',
    ]);
  });
});
