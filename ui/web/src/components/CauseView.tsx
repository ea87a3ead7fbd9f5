import { useState } from 'react';
import { useSlots } from '../api/queries';
import type { Candidate, Cause } from '../api/reliability';
import { type SearchPatch, To } from '../app/navigation';
import { useI18n } from '../i18n';
import { epochMs } from '../i18n/format';
import { evidenceOf } from '../state/cause';
import { term } from '../state/filter';
import { Confidence } from './confidence';
import { DeviationStrip } from './DeviationStrip';
import { EvidenceItem } from './EvidenceItem';
import { ServiceChip } from './marks';
import './reliability.css';
import { indicatorText, textOf } from './words';

const MOST_CANDIDATES = 6;

/** From where it was noticed to where it began, each service a link that keeps the window of the report. */
export function CausePath({ candidate, cause }: { candidate: Candidate; cause: Cause }) {
  const { t } = useI18n();
  const slotOf = useSlots();
  if (candidate.path.length < 2) return null;
  const search = { from: String(epochMs(cause.window.from)), to: String(epochMs(cause.window.to)) };
  return (
    <ol className="path" aria-label={t('cause.path')}>
      {candidate.path.map((name, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a path may pass one service twice
        <li key={`${name} ${i}`} data-end={i === candidate.path.length - 1 || undefined}>
          <To path={`/services/${encodeURIComponent(name)}`} search={search} className="cell-link">
            <ServiceChip name={name} slot={name === candidate.service ? candidate.slot : slotOf(name)} />
          </To>
        </li>
      ))}
    </ol>
  );
}

/** Attribute values that bad requests have far more often than good ones. */
function Scope({ candidate }: { candidate: Candidate }) {
  const { t, percent, num } = useI18n();
  if (!candidate.scope.length) return null;
  return (
    <section className="cause-part">
      <h3>{t('cause.scope')}</h3>
      <table className="plain-rows scope">
        <thead>
          <tr>
            <th scope="col">{t('cause.attribute')}</th>
            <th scope="col">{t('cause.amongBad')}</th>
            <th scope="col">{t('cause.amongGood')}</th>
            <th scope="col">{t('column.calls')}</th>
          </tr>
        </thead>
        <tbody>
          {candidate.scope.map((each) => (
            <tr key={`${each.attribute} ${each.value}`}>
              <td className="mono scope-name">
                <span className="faint">{each.attribute.replace(/^(resource|attributes)\./, '')}</span> {each.value}
              </td>
              {[each.bad_ratio, each.good_ratio].map((ratio, i) => (
                <td key={i === 0 ? 'bad' : 'good'}>
                  <span className="ratio" data-bad={i === 0 || undefined}>
                    <i style={{ width: `${ratio * 100}%` }} aria-hidden="true" />
                    <span className="num">{percent(ratio)}</span>
                  </span>
                </td>
              ))}
              <td className="num">{num(each.count)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

export function CandidateDetail({
  candidate,
  cause,
  openFirst = false,
}: {
  candidate: Candidate;
  cause: Cause;
  openFirst?: boolean;
}) {
  const { t } = useI18n();
  const { supporting, contradicting } = evidenceOf(candidate);
  return (
    <div className="candidate">
      <CausePath candidate={candidate} cause={cause} />
      <section className="cause-part">
        <h3>{t('evidence.for')}</h3>
        {supporting.length ? (
          <ul className="evidences">
            {supporting.map((each, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: a kept report never changes its evidence
              <EvidenceItem key={i} evidence={each} window={cause.window} open={openFirst && i === 0} />
            ))}
          </ul>
        ) : (
          <p className="hint">{t('evidence.none')}</p>
        )}
      </section>
      <section className="cause-part">
        <h3>{t('evidence.against')}</h3>
        {contradicting.length ? (
          <ul className="evidences">
            {contradicting.map((each, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: a kept report never changes its evidence
              <EvidenceItem key={i} evidence={each} window={cause.window} />
            ))}
          </ul>
        ) : (
          <p className="hint">{t('evidence.noneAgainst')}</p>
        )}
      </section>
      <Scope candidate={candidate} />
    </div>
  );
}

/** Candidates by rank as a list to choose from. */
export function CandidateList({
  cause,
  selected,
  onSelect,
}: {
  cause: Cause;
  selected: number;
  onSelect: (rank: number) => void;
}) {
  const i18n = useI18n();
  const { t, clock, num } = i18n;
  const best = Math.max(0.001, ...cause.candidates.map((each) => each.score));
  const [all, setAll] = useState(false);
  const shown = cause.candidates.filter((each, i) => all || i < MOST_CANDIDATES || each.rank === selected);
  const leftOut = cause.candidates.length - shown.length;
  return (
    <ol className="candidates" aria-label={t('cause.candidates')}>
      {shown.map((candidate) => (
        <li key={candidate.rank}>
          <button type="button" aria-pressed={candidate.rank === selected} onClick={() => onSelect(candidate.rank)}>
            <span className="rank num">{candidate.rank}</span>
            <span className="candidate-name">
              <ServiceChip name={candidate.service} slot={candidate.slot} />
              <span className="ink2 indicator">{indicatorText(i18n, candidate.indicator)}</span>
              <span className="faint num">
                {candidate.first_deviation
                  ? t('cause.since', { time: clock(candidate.first_deviation) })
                  : t('cause.noDeviation')}
              </span>
            </span>
            <span className="candidate-score">
              {candidate.rank === 1 && cause.outcome === 'found' ? (
                <Confidence value={cause.confidence} />
              ) : (
                <i className="score" aria-hidden="true">
                  <b style={{ width: `${(candidate.score / best) * 100}%` }} />
                </i>
              )}
            </span>
          </button>
        </li>
      ))}
      {leftOut > 0 || all ? (
        <li>
          <button type="button" className="more" aria-expanded={all} onClick={() => setAll(!all)}>
            {all ? t('fewer') : t('more', { n: num(leftOut) })}
          </button>
        </li>
      ) : null}
    </ol>
  );
}

/** What people felt. */
export function Impact({ cause }: { cause: Cause }) {
  const { t, num, percent } = useI18n();
  const { calls, failed, slow, error_budget_spent_ratio } = cause.impact;
  const window = { from: String(epochMs(cause.window.from)), to: String(epochMs(cause.window.to)) };
  const traces = (text: string, search: SearchPatch) =>
    cause.service ? (
      <To path="/traces" search={{ q: term('service', cause.service), ...window, ...search }} className="cell-link">
        {text}
      </To>
    ) : (
      text
    );
  return (
    <p className="impact num">
      {traces(t('cause.calls', { n: num(calls) }), {})}
      <span className={failed ? 'crit-text' : ''}>
        {traces(t('cause.failed', { n: num(failed), share: percent(calls ? failed / calls : 0) }), { status: 'error' })}
      </span>
      <span className={slow ? 'warn-text' : ''}>
        {t('cause.slow', { n: num(slow), share: percent(calls ? slow / calls : 0) })}
      </span>
      {error_budget_spent_ratio === null ? null : (
        <span>{t('cause.budgetSpent', { share: percent(error_budget_spent_ratio) })}</span>
      )}
    </p>
  );
}

export function Notes({ cause }: { cause: Cause }) {
  const i18n = useI18n();
  if (!cause.notes.length) return null;
  return (
    <ul className="cause-notes">
      {cause.notes.map((note, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a kept report never changes its notes
        <li key={i}>{textOf(i18n, note)}</li>
      ))}
    </ul>
  );
}

/** The report: order of events, candidates, and the evidence of the chosen one. */
export function FoundCause({
  cause,
  selected,
  onSelect,
}: {
  cause: Cause;
  selected: number;
  onSelect: (rank: number) => void;
}) {
  const candidate = cause.candidates.find((each) => each.rank === selected) ?? cause.candidates[0];
  return (
    <>
      <DeviationStrip cause={cause} selected={candidate?.rank} />
      <div className="cause-split">
        <CandidateList cause={cause} selected={candidate?.rank ?? 1} onSelect={onSelect} />
        {candidate ? <CandidateDetail key={candidate.rank} candidate={candidate} cause={cause} /> : null}
      </div>
    </>
  );
}
