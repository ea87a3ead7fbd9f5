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
            ctx.fillText(text, start, u.bbox.top + LABEL_PX * scale);
            free = start + wide;
          }
        }),
    ],
  };
}
