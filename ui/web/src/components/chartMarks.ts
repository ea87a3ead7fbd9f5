import type uPlot from 'uplot';

/** A moment, such as a deploy. */
export interface Mark {
  /** Milliseconds since the epoch. */
  at: number;
  text: string;
}
/** A stretch of time, such as an incident. */
export interface Band {
  from: number;
  to: number;
  tone: 'crit' | 'warn' | 'quiet';
}

const LABEL_PX = 11;
const FILL: Record<Band['tone'], string> = { crit: '--crit-soft', warn: '--warn-soft', quiet: '--sunken' };

/** Hooks that paint bands behind the lines and marks over them, with their text where there is room for it. */
export function painted(
  marks: readonly Mark[],
  bands: readonly Band[],
  css: (name: string) => string,
  /** A value to draw a line at, such as a budget of zero. */
  level?: number,
): Pick<uPlot.Hooks.Arrays, 'drawClear' | 'draw'> {
  const clipped = (u: uPlot, paint: (ctx: CanvasRenderingContext2D) => void): void => {
    const { left, top, width, height } = u.bbox;
    u.ctx.save();
    u.ctx.beginPath();
    u.ctx.rect(left, top, width, height);
    u.ctx.clip();
    paint(u.ctx);
    u.ctx.restore();
  };
  return {
    drawClear: [
      (u) =>
        clipped(u, (ctx) => {
          for (const { from, to, tone } of bands) {
            const [x0, x1] = [u.valToPos(from / 1e3, 'x', true), u.valToPos(to / 1e3, 'x', true)];
            ctx.fillStyle = css(FILL[tone]);
            ctx.fillRect(x0, u.bbox.top, Math.max(2, x1 - x0), u.bbox.height);
          }
        }),
    ],
    draw: [
      (u) =>
        clipped(u, (ctx) => {
          const scale = devicePixelRatio;
          ctx.font = `${LABEL_PX * scale}px ${getComputedStyle(document.body).fontFamily}`;
          ctx.textAlign = 'left';
          ctx.textBaseline = 'alphabetic';
          ctx.strokeStyle = css('--ink2');
          ctx.fillStyle = css('--ink2');
          ctx.lineWidth = scale;
          ctx.setLineDash([4 * scale, 3 * scale]);
          if (level !== undefined) {
            const y = Math.round(u.valToPos(level, 'y', true)) + 0.5;
            ctx.strokeStyle = css('--status-crit');
            ctx.beginPath();
            ctx.moveTo(u.bbox.left, y);
            ctx.lineTo(u.bbox.left + u.bbox.width, y);
            ctx.stroke();
            ctx.strokeStyle = css('--ink2');
          }
          let free = Number.NEGATIVE_INFINITY;
          const right = u.bbox.left + u.bbox.width;
          for (const { at, text } of [...marks].sort((a, b) => a.at - b.at)) {
            const x = Math.round(u.valToPos(at / 1e3, 'x', true)) + 0.5;
            if (x < u.bbox.left || x > right) continue;
            ctx.beginPath();
            ctx.moveTo(x, u.bbox.top);
            ctx.lineTo(x, u.bbox.top + u.bbox.height);
            ctx.stroke();
            const wide = ctx.measureText(text).width + 8 * scale;
            const start = x + wide > right ? x - wide : x + 4 * scale;
            if (start < free) continue;
            ctx.fillStyle = css('--panel');
            ctx.globalAlpha = 0.75;
            ctx.fillRect(start - 2 * scale, u.bbox.top, wide - 4 * scale, (LABEL_PX + 4) * scale);
            ctx.globalAlpha = 1;
            ctx.fillStyle = css('--ink2');
            ctx.fillText(text, start, u.bbox.top + LABEL_PX * scale);
            free = start + wide;
          }
        }),
    ],
  };
}
