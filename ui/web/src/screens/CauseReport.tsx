import { Button, Menu } from '@mantine/core';
import { IconDownload, IconThumbDown, IconThumbUp } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { useState } from 'react';
import type { Cause } from '../api/reliability';
import { useCause } from '../api/reliability-queries';
import { To, useOpen, useUrl } from '../app/navigation';
import { FoundCause, Impact, Notes } from '../components/CauseView';
import { Confidence } from '../components/confidence';
import { copyText, curl, ShareMenu } from '../components/copy';
import { NoCause } from '../components/NoCause';
import { Panel } from '../components/Panel';
import { StateView } from '../components/StateView';
import { indicatorText, textOf } from '../components/words';
import { useI18n } from '../i18n';
import { epochMs } from '../i18n/format';
import { saveText } from '../state/save';
import { type Verdict, verdicts } from '../state/verdict';

/** Whether the reader found the report right; kept in this browser. */
function VerdictButtons({ id }: { id: string }) {
  const { t } = useI18n();
  const [verdict, setVerdict] = useState(() => verdicts.of(id));
  const say = (next: Verdict): void => setVerdict(verdicts.set(id, next === verdict ? null : next));
  return (
    <fieldset className="verdict" title={t('cause.verdictHint')}>
      <legend className="offscreen">{t('cause.verdict')}</legend>
      {(['right', 'wrong'] as const).map((each) => (
        <Button
          key={each}
          size="compact-sm"
          variant={verdict === each ? 'light' : 'default'}
          aria-pressed={verdict === each}
          leftSection={each === 'right' ? <IconThumbUp size={14} /> : <IconThumbDown size={14} />}
          onClick={() => say(each)}
        >
          {t(each === 'right' ? 'cause.right' : 'cause.wrong')}
        </Button>
      ))}
    </fieldset>
  );
}

function ExportMenu({ cause }: { cause: Cause }) {
  const i18n = useI18n();
  const { t } = i18n;
  const name = `cause-${cause.service ?? 'report'}-${cause.window.to.slice(0, 16).replace(/[:T]/g, '-')}`;
  const markdown = textOf(i18n, cause.report);
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <Button variant="default" size="compact-sm" leftSection={<IconDownload size={14} />}>
          {t('cause.export')}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={() => saveText(`${name}.md`, 'text/markdown', markdown)}>Markdown</Menu.Item>
        <Menu.Item onClick={() => saveText(`${name}.json`, 'application/json', JSON.stringify(cause, null, 2))}>
          JSON
        </Menu.Item>
        <Menu.Item onClick={() => void copyText(markdown)}>{t('share.markdown')}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

/** Which times were compared, and when it began. */
function Times({ cause }: { cause: Cause }) {
  const { t, dateTime, clock, num, duration } = useI18n();
  const { spans, logs, points, elapsed_ms, sampled } = cause.stats;
  const between = ({ from, to }: Cause['window']): string => `${dateTime(from)} – ${clock(to)}`;
  return (
    <dl className="cause-times">
      <div>
        <dt>{t('cause.window')}</dt>
        <dd className="num">{between(cause.window)}</dd>
      </div>
      <div>
        <dt>{t('cause.baseline')}</dt>
        <dd className="num">{between(cause.baseline)}</dd>
      </div>
      <div>
        <dt>{t('cause.onset')}</dt>
        <dd className="num">
          {cause.onset ? `${clock(cause.onset.from)} – ${clock(cause.onset.to)}` : t('cause.noOnset')}
        </dd>
      </div>
      <div>
        <dt>
          <span className="exactness" data-partial={sampled || undefined}>
            {t(sampled ? 'cause.sampled' : 'result.exact')}
          </span>
        </dt>
        <dd className="num">
          {t('cause.readIn', { spans: num(spans), logs: num(logs), points: num(points), time: duration(elapsed_ms) })}
        </dd>
      </div>
    </dl>
  );
}

function Body({ cause }: { cause: Cause }) {
  const i18n = useI18n();
  const { t } = i18n;
  const [search, patch] = useUrl();
  const top = cause.candidates[0];
  const found = cause.outcome === 'found' && top;
  return (
    <>
      {found ? (
        <section className="panel verdict-head">
          <div>
            <p className="label">{t('cause.likelyTitle')}</p>
            <p className="cause-name">
              <b>{top.service}</b> <span>{indicatorText(i18n, top.indicator)}</span>
            </p>
            <Impact cause={cause} />
          </div>
          <div className="verdict-confidence">
            <p className="label">{t('cause.confidenceName')}</p>
            <Confidence value={cause.confidence} named />
          </div>
        </section>
      ) : null}
      <Times cause={cause} />
      {found ? (
        <Panel title={t('cause.candidates')} sub={t('cause.order')} className="report">
          <FoundCause
            cause={cause}
            selected={Number(search.sel ?? 1)}
            onSelect={(rank) => patch({ sel: rank === 1 ? undefined : String(rank) })}
          />
        </Panel>
      ) : (
        <Panel title={t('cause.title')}>
          <NoCause cause={cause} />
        </Panel>
      )}
      {found && cause.notes.length ? (
        <Panel title={t('cause.notes')}>
          <Notes cause={cause} />
        </Panel>
      ) : null}
    </>
  );
}

export function CauseReport() {
  const { id = '' } = useParams({ strict: false }) as { id?: string };
  const { t } = useI18n();
  const open = useOpen();
  const queries = useQueryClient();
  const asked = useCause(id);
  const cause = asked.data;
  const service = cause?.service;
  return (
    <div className="screen">
      <div className="crumb">
        <To path="/causes" className="link">
          {t('cause.reports')}
        </To>
        <span className="faint">/</span>
        <h1>{service ? t('cause.whyService', { service }) : t('cause.title')}</h1>
        <span className="grow" />
        {cause ? (
          <>
            <VerdictButtons key={id} id={id} />
            {service ? (
              <Button
                size="compact-sm"
                variant="default"
                onClick={() =>
                  open('/causes/new', {
                    service,
                    from: String(epochMs(cause.window.from)),
                    to: String(epochMs(cause.window.to)),
                  })
                }
              >
                {t('cause.askAgain')}
              </Button>
            ) : null}
            <ExportMenu cause={cause} />
          </>
        ) : null}
        <ShareMenu more={[{ label: t('share.curl'), text: () => curl(`/api/causes/${encodeURIComponent(id)}`, {}) }]} />
      </div>
      <StateView asked={asked} onCancel={() => void queries.cancelQueries({ queryKey: ['cause', id] })}>
        {(data) => <Body cause={data} />}
      </StateView>
    </div>
  );
}
