// One job: its state, what it changed, what went wrong, what followed from it, and what can be done.
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { at } from '../api.ts'
import { JobActions } from '../job-actions.tsx'
import { useQuery } from '../query.ts'
import { href } from '../router.ts'
import type { Attempt, Job, JobAnswer, JobRow } from '../shapes.ts'
import { formatInterval, span } from '../time.ts'
import { Children } from '../tree.tsx'
import { Badge, Bar, Button, Count, Heading, JobLink, Loaded, Status, Table, Time, TypeLink } from '../ui.tsx'
import { Diff, JsonText, LongValue, Snapshots } from '../values.tsx'
import { WholeResult } from './runs.tsx'

const text = (value: unknown): string | null => (value === null || value === undefined ? null : String(value))
const ends = ['Finished', 'Skipped', 'No Target', 'Relayed', 'Canceled']

export function JobPage({ id }: { id: string }) {
    const path = at('jobs', id)
    const job = useQuery<JobAnswer>(path, {}, { slot: 'job' })
    return (
        <>
            {!job.data && <Heading>Job #{id}</Heading>}
            <Loaded query={job}>{(answer) => <JobView answer={answer} refresh={job.refresh} />}</Loaded>
        </>
    )
}

function JobView({ answer, refresh }: { answer: JobAnswer; refresh: () => void }) {
    const { job } = answer
    const running = job.status === 'Started'
    // The progress bar moves between hints, too.
    const progress = useQuery<JobAnswer>(running ? at('jobs', job.id) : null, {}, { slot: 'progress', every: 2000, still: true })
    const current = (running && progress.data?.progress) || answer.progress
    return (
        <>
            <Heading aside={<span role="status" class="big"><Status of={job.status} held={job.held as boolean | null} /></span>}>
                Job #{job.id}{job.dry_run ? <> <Badge kind="accent">dry run</Badge></> : null}
            </Heading>
            <p class="subtitle">{text(job.title)}</p>
            <JobActions answer={answer} refresh={refresh} />
            {running && current && (
                <section class="card">
                    <Bar percent={current.percent} label="Progress" /> <b>{current.title}</b> <span class="dim">{current.description}</span>
                </section>
            )}
            <div class="columns">
                <Facts answer={answer} />
                <Timeline job={job} attempts={answer.attempts ?? []} />
            </div>
            <Trouble answer={answer} />
            <Changed answer={answer} />
            <Values answer={answer} />
            <Family answer={answer} />
        </>
    )
}

function Facts({ answer }: { answer: JobAnswer }) {
    const { job, type } = answer
    const row = (name: string, value: ComponentChildren) => (value === null || value === undefined || value === '' ? null : <><dt>{name}</dt><dd>{value}</dd></>)
    const document = (kind: unknown, name: unknown) => ((name ?? kind ?? null) === null ? null : <>{text(kind)} <b>{text(name)}</b></>)
    const listed = text(job.source_document_name)
    return (
        <section class="card" aria-label="Facts">
            <dl class="facts">
                {row('Type', <><TypeLink name={job.sync_job_type} /> {type?.kind && <Badge>{type.kind}</Badge>} {type?.paused && <Badge kind="warn">paused</Badge>} {type?.disabled && <Badge kind="warn">disabled</Badge>}</>)}
                {row('Source', document(job.source_document_type, job.source_document_name))}
                {row('Target', document(job.target_document_type, job.target_document_name))}
                {row('Operation', text(job.operation))}
                {row('Documents', job.documents ? <Count of={Number(job.documents)} /> : null)}
                {row('Procedure', text(job.procedure))}
                {row('Queue', <><a href={href(['queues'])}>{text(job.queue)}</a> <span class="dim">priority {text(job.priority)}</span></>)}
                {row('Runs as', text(job.run_as))}
                {row('Owner', text(job.owner))}
                {row('Enqueued by', <>{text(job.enqueued_by)} <span class="dim">{text(job.trigger_type)}</span></>)}
                {row('Caused by', document(job.triggered_by_document_type, job.triggered_by_document_name))}
                {row('Retries', `${text(job.retry_count)} of ${text(job.max_retries)}, after ${formatInterval(text(job.retry_delay))} (${text(job.retry_backoff)})`)}
                {row('Time limit', job.timeout ? formatInterval(text(job.timeout)) : null)}
                {row('Key', text(job.job_id))}
                {row('Group', job.job_group ? <a href={href(['jobs'], { group: text(job.job_group) })}>{text(job.job_group)}</a> : null)}
                {row('Depth', text(job.depth))}
                {row('Process', text(job.worker_pid))}
                {row('Trace', text(job.traceparent))}
                {row('Cancel reason', text(job.cancel_reason))}
                {listed && row('History', <a href={href(['jobs'], { type: job.sync_job_type, document: listed })}>jobs of this document</a>)}
            </dl>
        </section>
    )
}

type Event = { at: string; what: ComponentChildren; kind: string }

function events(job: Job, attempts: Attempt[]): Event[] {
    const list: Event[] = []
    const add = (time: unknown, what: ComponentChildren, kind = '') => time && list.push({ at: String(time), what, kind })
    add(job.created_at, 'enqueued')
    add(job.scheduled_at, 'scheduled for then')
    for (const attempt of attempts) add(attempt.occurred_at, <>attempt {attempt.attempt} failed: {attempt.message}{!attempt.counted && <span class="dim"> (does not count)</span>}</>, 'failed')
    add(job.started_at, attempts.length || job.retry_count ? 'last attempt began' : 'began', 'started')
    if (job.status === 'Failed') add(job.retry_after, 'will be tried again', 'queued')
    if (job.status === 'Failed' && job.retry_held) add(job.ended_at, 'held until the set-up of its type is mended', 'queued')
    if (ends.includes(job.status)) add(job.ended_at, <Status of={job.status} />, job.status.toLowerCase())
    const time = (event: Event) => new Date(event.at).getTime() || Infinity
    return list.sort((a, b) => time(a) - time(b))
}

function Timeline({ job, attempts }: { job: Job; attempts: Attempt[] }) {
    const list = events(job, attempts)
    const wait = job.started_at ? (new Date(String(job.started_at)).getTime() - new Date(String(job.scheduled_at ?? job.created_at)).getTime()) / 1000 : null
    return (
        <section class="card" aria-label="Timeline">
            <ol class="timeline">
                {list.map((event, i) => <li key={i} class={event.kind}><Time of={event.at} /> <span>{event.what}</span></li>)}
            </ol>
            <p class="dim">
                {wait !== null && wait >= 0 && attempts.length === 0 && `Waited ${span(wait)}. `}
                {job.time_taken ? `Ran ${formatInterval(String(job.time_taken))}.` : ''}
            </p>
        </section>
    )
}

function Trouble({ answer }: { answer: JobAnswer }) {
    const { job, cut, attempts } = answer
    const error = text(job.error_message)
    if (!error && !attempts?.length) return null
    return (
        <section class="card">
            <h2>Error</h2>
            {error && <LongValue job={job.id} column="error_message" text={error} cut={cut?.includes('error_message') ?? false} />}
            {!!attempts?.length && (
                <details>
                    <summary>{attempts.length === 1 ? 'One attempt has failed' : `${attempts.length} attempts have failed`}</summary>
                    <Table caption="Attempts" rows={attempts} id={(a) => `${a.attempt} ${a.occurred_at}`} columns={[
                        { name: 'Attempt', numeric: true, cell: (a) => a.attempt },
                        { name: 'When', cell: (a) => <Time of={a.occurred_at} /> },
                        { name: 'SQLSTATE', cell: (a) => <code>{a.sqlstate}</code> },
                        { name: 'Message', cell: (a) => <AttemptError job={job.id} attempt={a} /> },
                        { name: 'Counts', cell: (a) => (a.counted ? 'yes' : 'no') },
                    ]} />
                </details>
            )}
        </section>
    )
}

// Each part is cut after 2000 characters.
function AttemptError({ job, attempt }: { job: string; attempt: Attempt }) {
    const part = (name: 'message' | 'detail' | 'hint' | 'context') => {
        const value = attempt[name]
        if (!value) return null
        if (value.length >= 2000) return <LongValue job={job} column={`error_${name}`} attempt={attempt.attempt} text={value} cut />
        return name === 'context' ? <pre tabIndex={0}>{value}</pre> : <div class={name === 'hint' ? 'dim' : ''}>{name === 'message' ? <b>{value}</b> : value}</div>
    }
    return <>{part('message')}{part('detail')}{part('hint')}{part('context')}</>
}

function Changed({ answer }: { answer: JobAnswer }) {
    const { job, cut } = answer
    const isCut = (column: string) => cut?.includes(column) ?? false
    const [diff, before, after] = [text(job.diff_summary), text(job.current_data), text(job.updated_data)]
    if (!diff && !before && !after && !job.documents && !['Full Sync', 'Revert', 'Apply'].includes(String(job.operation))) return null
    return (
        <section class="card">
            <h2>{job.dry_run ? 'What would change' : 'What changed'}</h2>
            {diff && <LongValue job={job.id} column="diff_summary" text={diff} cut={isCut('diff_summary')} render={(whole) => <Diff text={whole} />} />}
            {(before || after) && (
                <details>
                    <summary>The target before and after</summary>
                    {before && after && !isCut('current_data') && !isCut('updated_data') ? <Snapshots before={before} after={after} /> : null}
                    {before && <><h3>Before</h3><LongValue job={job.id} column="current_data" text={before} cut={isCut('current_data')} json /></>}
                    {after && <><h3>After</h3><LongValue job={job.id} column="updated_data" text={after} cut={isCut('updated_data')} json /></>}
                </details>
            )}
            {(job.documents || ['Full Sync', 'Revert', 'Apply'].includes(String(job.operation))) && <Documents id={job.id} />}
        </section>
    )
}

type DocumentRow = { source_document_name: string | null; target_document_name: string | null; operation: string | null; status: string; diff_summary: string | null; key: string; cut: boolean }

function Documents({ id }: { id: string }) {
    const [after, setAfter] = useState('')
    const list = useQuery<{ rows: DocumentRow[]; next: string | null }>(at('jobs', id, 'documents'), { after, limit: 50 }, { slot: 'documents' })
    return (
        <>
            <h3>Documents</h3>
            <Loaded query={list}>
                {({ rows, next }) => (
                    <>
                        <Table caption="Documents" rows={rows} id={(d) => `${d.source_document_name} ${d.target_document_name}`} empty={after ? 'There are no more.' : 'Nothing was changed.'} columns={[
                            { name: 'Source', cell: (d) => d.source_document_name || '–' },
                            { name: 'Target', cell: (d) => d.target_document_name ?? '–' },
                            { name: 'Operation', cell: (d) => d.operation },
                            { name: 'State', cell: (d) => <Status of={d.status} /> },
                            { name: 'Change', cell: (d) => (d.diff_summary ? <LongValue job={id} document={{ key: d.key, name: d.source_document_name ?? '' }} column="diff_summary" text={d.diff_summary} cut={d.cut} render={(whole) => <Diff text={whole} />} /> : '–') },
                        ]} />
                        <div class="tools">
                            {after && <Button onClick={() => setAfter('')}>The first ones</Button>}
                            {next && <Button onClick={() => setAfter(next)}>Next documents</Button>}
                        </div>
                    </>
                )}
            </Loaded>
        </>
    )
}

const values: [string, string, boolean][] = [
    ['context', 'Context', true], ['result', 'Result', true], ['messages', 'Messages', false], ['checkpoint', 'Checkpoint', true], ['multiple_target_documents', 'Targets', true],
]

function Values({ answer }: { answer: JobAnswer }) {
    const { job, cut } = answer
    const there = values.filter(([column]) => text(job[column]) !== null)
    if (there.length === 0) return null
    return (
        <section class="card">
            {there.map(([column, label, json]) => (
                <div key={column}>
                    <h2>{label}</h2>
                    <LongValue job={job.id} column={column} text={text(job[column])!} cut={cut?.includes(column) ?? false} json={json} render={column === 'result' ? (whole) => <WholeResult text={whole} /> : json ? (whole) => <JsonText text={whole} /> : undefined} />
                </div>
            ))}
        </section>
    )
}

function Rows({ title, rows }: { title: string; rows: JobRow[] | null }) {
    if (!rows?.length) return null
    return (
        <>
            <h2>{title}</h2>
            <Table caption={title} rows={rows} id={(r) => r.id} columns={[
                { name: 'Job', numeric: true, cell: (r) => <JobLink id={r.id} /> },
                { name: 'State', cell: (r) => <Status of={r.status} /> },
                { name: 'What', cell: (r) => <>{r.operation ?? '–'} {r.dry_run && <Badge>dry run</Badge>} {r.relation && <Badge>{r.relation}</Badge>}</> },
                { name: 'Created', cell: (r) => <Time of={r.created_at} /> },
                { name: 'Error', class: 'error', cell: (r) => r.error?.split('\n')[0] ?? '' },
            ]} />
        </>
    )
}

function Family({ answer }: { answer: JobAnswer }) {
    const { job, parent, children } = answer
    const has = children?.some((c) => c.count > 0)
    if (!parent && !has && !answer.waits_for?.length && !answer.waited_by?.length && !answer.related?.length) return null
    return (
        <section class="card">
            <Rows title={`Came from${job.relation ? ` (${String(job.relation)})` : ''}`} rows={parent && [parent]} />
            {has && (
                <>
                    <h2>What came of it</h2>
                    <p>{children!.map((c) => <span key={c.status} class="spaced"><Status of={c.status} /> <Count of={c.count} more={c.more} /></span>)} <a href={href(['jobs'], { parent: job.id })}>as a list</a></p>
                    <Children id={job.id} />
                </>
            )}
            <Rows title="Waits for" rows={answer.waits_for} />
            <Rows title="Jobs that wait for it" rows={answer.waited_by} />
            <Rows title="Other jobs of the document" rows={answer.related} />
        </section>
    )
}
