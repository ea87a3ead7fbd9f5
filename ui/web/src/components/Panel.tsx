import type { ReactNode } from 'react';

interface PanelProps {
  title: ReactNode;
  sub?: ReactNode;
  actions?: ReactNode;
  fill?: boolean;
  className?: string;
  children: ReactNode;
}

export function Panel({ title, sub, actions, fill, className = '', children }: PanelProps) {
  return (
    <section className={`panel ${className}`} data-fill={fill || undefined}>
      <header>
        <h2>{title}</h2>
        {sub ? <span className="sub">{sub}</span> : null}
        <span className="grow" />
        {actions}
      </header>
      {children}
    </section>
  );
}

/** Label, value and what belongs beside it. */
export function Tile({
  label,
  value,
  unit,
  note,
  tone,
  children,
}: {
  label: string;
  value: ReactNode;
  unit?: string;
  note?: ReactNode;
  tone?: 'crit' | 'warn' | undefined;
  children?: ReactNode;
}) {
  return (
    <div className="tile">
      <div>
        <div className="label">{label}</div>
        <div className="value" data-tone={tone}>
          {value}
          {unit ? <small>{unit}</small> : null}
        </div>
        {note ? <div className="note">{note}</div> : null}
      </div>
      {children}
    </div>
  );
}
