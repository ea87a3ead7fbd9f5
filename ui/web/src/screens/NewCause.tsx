import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useEffect } from 'react';
import { postJson } from '../api/client';
import type { Cause } from '../api/reliability';
import { To, useUrl } from '../app/navigation';
import { useWindow } from '../app/window';
import { Empty, StateView } from '../components/StateView';
import { useI18n } from '../i18n';
import { carried } from '../state/search';

/** Asks for the cause at `?service=` in the window, then shows the report in place of this page. */
export function NewCause() {
  const { t, dateTime, lang } = useI18n();
  const [search] = useUrl();
  const { window } = useWindow();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const { service } = search;
  const asked = useQuery({
    queryKey: ['new-cause', service, window.from, window.to],
    queryFn: ({ signal }) =>
      postJson<Cause>(
        '/api/causes',
        {
          service,
          from: new Date(window.from).toISOString(),
          to: new Date(window.to).toISOString(),
          language: lang === 'en' ? 'en' : 'zh',
        },
        signal,
      ),
    enabled: Boolean(service),
    // A report is made once: the same question later is a new one.
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    retry: false,
  });
  const made = asked.data;
  useEffect(() => {
    if (!made) return;
    queries.setQueryData(['cause', made.id], made);
    void navigate({
      to: `/causes/${encodeURIComponent(made.id)}` as never,
      search: carried(search) as never,
      replace: true,
    });
  }, [made, queries, navigate, search]);
  return (
    <div className="screen">
      <div className="crumb">
        <To path="/causes" className="link">
          {t('cause.reports')}
        </To>
        <span className="faint">/</span>
        <h1>{service ? t('cause.whyService', { service }) : t('cause.title')}</h1>
        <span className="faint num">
          {dateTime(window.from)} – {dateTime(window.to)}
        </span>
      </div>
      <section className="panel" aria-label={t('cause.title')}>
        {service ? (
          <StateView asked={asked} onCancel={() => void queries.cancelQueries({ queryKey: ['new-cause'] })}>
            {() => <Empty title={t('cause.done')} />}
          </StateView>
        ) : (
          <Empty title={t('cause.askService')}>
            <To path="/causes" className="link">
              {t('cause.reports')}
            </To>
          </Empty>
        )}
      </section>
    </div>
  );
}
