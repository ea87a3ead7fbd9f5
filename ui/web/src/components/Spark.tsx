/** A line without axes. Gaps stay gaps; `floor` keeps small noise from filling the height. */
export function Spark({
  values,
  colour,
  width = 96,
  height = 26,
  floor = 0,
  label,
}: {
  values: readonly (number | null)[];
  colour: string;
  width?: number;
  height?: number;
  floor?: number;
  label: string;
}) {
  const known = values.filter((v): v is number => v !== null && Number.isFinite(v));
  const max = Math.max(floor, ...known);
  const step = width / Math.max(1, values.length - 1);
  let path = '';
  let open = false;
  values.forEach((value, i) => {
    if (value === null || !Number.isFinite(value)) {
      open = false;
      return;
    }
    const y = height - 2 - (max ? (value / max) * (height - 4) : 0);
    path += `${open ? 'L' : 'M'}${(i * step).toFixed(1)} ${y.toFixed(1)}`;
    open = true;
  });
  return (
    <svg
      className="spark"
      width={width}
      height={height}
      viewBox={`0 0 ${width} ${height}`}
      role="img"
      aria-label={label}
      preserveAspectRatio="none"
    >
      <path d={path} fill="none" stroke={colour} strokeWidth={1.5} strokeLinejoin="round" />
    </svg>
  );
}
