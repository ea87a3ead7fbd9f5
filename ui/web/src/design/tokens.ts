/** Colours that canvases and tests need; `tokens.css` holds the same values for everything styled by CSS. */
export type Scheme = 'light' | 'dark';

export const SEVERITIES = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'unspecified'] as const;
export type Severity = (typeof SEVERITIES)[number];

export const STATUSES = ['ok', 'warn', 'crit', 'unknown'] as const;
export type Status = (typeof STATUSES)[number];

export const PANEL: Record<Scheme, string> = { light: '#ffffff', dark: '#14171c' };

export const SERVICE: Record<Scheme, readonly string[]> = {
  light: ['#1f1ca0', '#278974', '#8c58d7', '#959a37', '#68095b', '#0ca2c6', '#55595e', '#392e0f'],
  dark: ['#5996e6', '#acf3db', '#7b55d9', '#f1ec77', '#aa4f86', '#58c4fb', '#9fa2a8', '#e0ba84'],
};

export const STATUS: Record<Scheme, Record<Status, string>> = {
  light: { ok: '#0f8f80', warn: '#c87800', crit: '#c40c09', unknown: '#5f6574' },
  dark: { ok: '#64dbc4', warn: '#fbb500', crit: '#f0603f', unknown: '#7d8494' },
};
export const STATUS_GLYPH: Record<Status, string> = { ok: '●', warn: '▲', crit: '✕', unknown: '◌' };

export const SEVERITY: Record<Scheme, Record<Severity, string>> = {
  light: {
    fatal: '#550466',
    error: '#b10f07',
    warn: '#c87800',
    info: '#4a74a8',
    debug: '#6f8fa3',
    trace: '#87919d',
    unspecified: '#87919d',
  },
  dark: {
    fatal: '#f1b9f7',
    error: '#f0503f',
    warn: '#fca32d',
    info: '#6f9fd0',
    debug: '#6d8596',
    trace: '#6b7684',
    unspecified: '#6b7684',
  },
};
export const SEVERITY_LETTER: Record<Severity, string> = {
  fatal: 'F',
  error: 'E',
  warn: 'W',
  info: 'I',
  debug: 'D',
  trace: 'T',
  unspecified: '·',
};

/** Histogram fills: what is below `warn` stays quiet, so that a burst of warnings is what the eye finds. */
export const SEVERITY_FILL: Record<Scheme, Record<Severity, string>> = {
  light: { ...SEVERITY.light, info: '#b9c9dc', debug: '#d3dde6', trace: '#e4e9ee', unspecified: '#e4e9ee' },
  dark: { ...SEVERITY.dark, info: '#33475f', debug: '#293746', trace: '#212b36', unspecified: '#212b36' },
};

/** Colour of a service's slot; slots above the eighth repeat it (`slotRepeats`). */
export function slotColour(scheme: Scheme, slot: number): string {
  const colours = SERVICE[scheme];
  return colours[((slot % colours.length) + colours.length) % colours.length] ?? '#808080';
}

/** Whether the slot's colour is already another's and therefore needs a dash (lines) or a hatch (fills). */
export function slotRepeats(slot: number): boolean {
  return slot >= SERVICE.light.length;
}

/** Severity of an OpenTelemetry severity number (1-24); 0 and anything else is unspecified. */
export function severityOf(severityNumber: number): Severity {
  if (severityNumber < 1 || severityNumber > 24) return 'unspecified';
  return (
    (['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const)[Math.floor((severityNumber - 1) / 4)] ??
    'unspecified'
  );
}
