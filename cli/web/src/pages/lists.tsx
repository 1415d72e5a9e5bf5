// The short lists: queues, workers, schedules, alerts, freshness.
import { useState } from 'preact/hooks'
import { at, postJson } from '../api.ts'
import { useQuery } from '../query.ts'
import { href } from '../router.ts'
import { may } from '../session.ts'
import type { AlertRow, FreshnessRow, QueueRow, ScheduleRow, WorkerRow } from '../shapes.ts'
import { formatInterval, intervalSeconds } from '../time.ts'
import { Badge, Bar, Button, Check, Count, Field, FormDialog, Heading, JobLink, Loaded, Status, Table, Time, TypeLink, tell, useAction } from '../ui.tsx'
import { JsonText } from '../values.tsx'

type Rows<T> = { rows: T[] }

function PauseButton({ kind, name, paused, refresh }: { kind: 'queues' | 'schedules'; name: string; paused: boolean; refresh: () => void }) {
    const [busy, run] = useAction()
    const toggle = () => run(async () => {
        await postJson(at(kind, name, paused ? 'resume' : 'pause'))
        refresh()
        return paused ? `${name} goes on.` : `${name} is paused.`
    })
    return <Button busy={busy} onClick={toggle} aria-label={`${paused ? 'Resume' : 'Pause'} ${name}`}>{paused ? 'Resume' : 'Pause'}</Button>
}

function QueueForm({ queue, onClose }: { queue: QueueRow; onClose: () => void }) {
    const [workers, setWorkers] = useState(String(queue.max_workers))
    const [timeout, setTimeout] = useState(queue.timeout ?? '')
    const [events, setEvents] = useState(queue.publish_events ?? false)
    const save = async () => {
        await postJson(at('queues', queue.queue), { max_workers: workers, timeout, publish_events: events })
        onClose()
        tell('Saved.')
    }
    return (
        <FormDialog title={`Queue ${queue.queue}`} button="Save" work={save} onClose={onClose}>
            <Field label="Workers, at most" hint="0: none">{(a) => <input {...a} inputMode="numeric" value={workers} onInput={(e) => setWorkers(e.currentTarget.value)} />}</Field>
            <Field label="Time limit of a job" hint="As in 5 minutes; 0: none">{(a) => <input {...a} value={timeout} onInput={(e) => setTimeout(e.currentTarget.value)} />}</Field>
            <Check label="Sends an event at each end" value={events} onChange={setEvents} />
        </FormDialog>
    )
}

export function QueueTable({ rows, refresh }: { rows: QueueRow[] | null | undefined; refresh?: () => void }) {
    const [open, setOpen] = useState<QueueRow | null>(null)
    const jobs = (r: QueueRow, status: string, count: number) => <a href={href(['jobs'], { queue: r.queue, status })}><Count of={count} /></a>
    const offered = refresh && may.write()
    return (
        <>
            <Table caption="Queues" rows={rows} id={(r) => r.queue} columns={[
                { name: 'Queue', cell: (r) => <><b>{r.queue}</b> {r.paused && <Badge kind="warn">paused</Badge>}</> },
                { name: 'Note', class: 'error', cell: (r) => r.note ?? '' },
                { name: 'Workers', numeric: true, cell: (r) => <span class="number">{r.workers} of {r.max_workers}</span> },
                { name: 'Busy', cell: (r) => <progress max={Math.max(1, r.max_workers)} value={r.running} aria-label={`Workers of ${r.queue} that run a job: ${r.running} of ${r.max_workers}`} /> },
                { name: 'Waiting', numeric: true, cell: (r) => jobs(r, 'Queued', r.waiting) },
                { name: 'Scheduled', numeric: true, cell: (r) => <Count of={r.scheduled} /> },
                { name: 'Oldest', cell: (r) => <Time of={r.oldest_waiting} age /> },
                { name: 'Retrying', numeric: true, cell: (r) => <Count of={r.retrying} /> },
                { name: 'Failed', numeric: true, cell: (r) => jobs(r, 'Failed', r.failed) },
                ...(offered ? [{ name: 'Do', cell: (r: QueueRow) => <>{r.allowed?.pause && <PauseButton kind="queues" name={r.queue} paused={r.paused} refresh={refresh} />} {r.allowed?.change && <Button onClick={() => setOpen(r)} aria-label={`Change ${r.queue}`}>Change …</Button>}</> }] : []),
            ]} />
            {open && <QueueForm queue={open} onClose={() => (setOpen(null), refresh?.())} />}
        </>
    )
}

export function QueuesPage() {
    const queues = useQuery<Rows<QueueRow>>('queues', {}, { slot: 'queues' })
    return <><Heading>Queues</Heading><Loaded query={queues}>{({ rows }) => <QueueTable rows={rows} refresh={queues.refresh} />}</Loaded></>
}

export function WorkersPage() {
    const workers = useQuery<Rows<WorkerRow>>('workers', {}, { slot: 'workers', every: 5000 })
    return (
        <>
            <Heading>Workers</Heading>
            <Loaded query={workers}>{({ rows }) => (
                <Table caption="Workers" rows={rows} id={(r) => String(r.pid)} empty="No worker runs: there is nothing to do, or the queues say why." columns={[
                    { name: 'Process', numeric: true, cell: (r) => r.pid },
                    { name: 'State', cell: (r) => <Badge kind={r.state === 'running' ? 'accent' : ''}>{r.state}</Badge> },
                    { name: 'Queue', cell: (r) => r.queue },
                    { name: 'Role', cell: (r) => r.run_as },
                    { name: 'Job', cell: (r) => (r.sync_job ? <JobLink id={r.sync_job} /> : '–') },
                    { name: 'Type', cell: (r) => (r.sync_job_type ? <TypeLink name={r.sync_job_type} /> : '–') },
                    { name: 'Since', cell: (r) => <Time of={r.started_at} age /> },
                    { name: 'Progress', cell: (r) => (r.percent === null ? '' : <Bar percent={r.percent} label={`Progress of process ${r.pid}`} />) },
                    { name: 'What', cell: (r) => <>{r.title} <span class="dim">{r.description}</span></> },
                ]} />
            )}</Loaded>
        </>
    )
}

const words: [RegExp, string][] = [
    [/^\* \* \* \* \*$/, 'each minute'], [/^\*\/(\d+) \* \* \* \*$/, 'each $1 minutes'], [/^(\d+) \* \* \* \*$/, 'each hour, at minute $1'],
    [/^(\d+) (\d+) \* \* \*$/, 'each day at $2:$1 UTC'], [/^(\d+) (\d+) \* \* 1-5$/, 'on weekdays at $2:$1 UTC'],
]
export function inWords(cron: string): string {
    for (const [form, text] of words) {
        const found = form.exec(cron)
        if (found) return text.replace(/\$(\d)(?=:)|:\$(\d)|\$(\d)/g, (_, a, b, c) => (b ? `:${found[Number(b)]!.padStart(2, '0')}` : found[Number(a ?? c)]!))
    }
    return ''
}

function RunNow({ name, refresh }: { name: string; refresh: () => void }) {
    const [busy, run] = useAction()
    return <Button busy={busy} aria-label={`Run now: ${name}`} onClick={() => run(async () => (await postJson(at('schedules', name, 'run')), refresh(), `${name} has enqueued its job.`))}>Run now</Button>
}

export function SchedulesPage() {
    const schedules = useQuery<Rows<ScheduleRow>>('schedules', {}, { slot: 'schedules' })
    return (
        <>
            <Heading>Schedules</Heading>
            <Loaded query={schedules}>{({ rows }) => (
                <Table caption="Schedules" rows={rows} id={(r) => r.name} empty="There is no schedule." columns={[
                    { name: 'Schedule', cell: (r) => <><b>{r.name}</b> {r.paused && <Badge kind="warn">paused</Badge>}</> },
                    { name: 'When', cell: (r) => <><code>{r.schedule}</code> <span class="dim">{inWords(r.schedule)}</span></> },
                    { name: 'Enqueues', cell: (r) => <>{r.enqueues}{r.params && r.params !== '{}' && <details><summary>with</summary><JsonText text={r.params} /></details>}</> },
                    { name: 'Owner', cell: (r) => r.owner },
                    { name: 'Next', cell: (r) => <Time of={r.next_run} /> },
                    { name: 'Last', cell: (r) => <><Time of={r.last_run} /> {r.last_sync_job && <JobLink id={r.last_sync_job} />}</> },
                    { name: 'State', cell: (r) => (r.last_status ? <Status of={r.last_status} /> : '–') },
                    { name: 'Error', class: 'error', cell: (r) => r.last_error?.split('\n')[0] ?? '' },
                    ...(may.write() ? [{ name: 'Do', cell: (r: ScheduleRow) => <>{r.allowed?.run && <RunNow name={r.name} refresh={schedules.refresh} />} {r.allowed?.pause && <PauseButton kind="schedules" name={r.name} paused={r.paused} refresh={schedules.refresh} />}</> }] : []),
                ]} />
            )}</Loaded>
        </>
    )
}

export function AlertTable({ rows }: { rows: AlertRow[] | null | undefined }) {
    return (
        <Table caption="Alerts" rows={rows} id={(r) => r.name} empty="There is no alert." columns={[
            { name: 'Alert', cell: (r) => <b>{r.name}</b> },
            { name: 'State', cell: (r) => <Badge kind={r.state === 'firing' ? 'bad' : 'ok'}>{r.state === 'firing' ? '✕ firing' : '✓ ok'}</Badge> },
            { name: 'Since', cell: (r) => <Time of={r.since} age /> },
            { name: 'Measures', cell: (r) => <>{r.measure} {r.sync_job_type && <>of <TypeLink name={r.sync_job_type} /></>} {r.queue && <>in {r.queue}</>}</> },
            { name: 'Value', numeric: true, cell: (r) => r.value ?? '–' },
            { name: 'More than', numeric: true, cell: (r) => r.threshold },
            { name: 'For', cell: (r) => (intervalSeconds(r.hold) ? formatInterval(r.hold) : '–') },
            { name: 'Owner', cell: (r) => r.owner },
        ]} />
    )
}

export function AlertsPage() {
    const alerts = useQuery<Rows<AlertRow>>('alerts', {}, { slot: 'alerts' })
    return <><Heading>Alerts</Heading><Loaded query={alerts}>{({ rows }) => <AlertTable rows={rows} />}</Loaded></>
}

// What the last comparison of the whole type has found.
export function Compared({ row }: { row: FreshnessRow | null }) {
    if (!row?.compared_at) return <span class="none">–</span>
    return <><Time of={row.compared_at} age />: {row.out_of_step ? <span class="error"><Count of={row.out_of_step} /> out of step</span> : <span class="good">✓ in step</span>}</>
}

export function FreshnessTable({ rows }: { rows: FreshnessRow[] | null | undefined }) {
    return (
        <Table caption="Freshness" rows={rows} id={(r) => r.sync_job_type} empty="There is no type." columns={[
            { name: 'Type', cell: (r) => <TypeLink name={r.sync_job_type} /> },
            { name: 'Oldest change', cell: (r) => (r.oldest_change ? <Time of={r.oldest_change} age /> : <span class="good">✓ in step</span>) },
            { name: 'Waiting', numeric: true, cell: (r) => <Count of={r.waiting} /> },
            { name: 'Running', numeric: true, cell: (r) => <Count of={r.running} /> },
            { name: 'Retrying', numeric: true, cell: (r) => <Count of={r.retrying} /> },
            { name: 'Failed', numeric: true, cell: (r) => (r.failed ? <a href={href(['jobs'], { type: r.sync_job_type, status: 'Failed' })}><Count of={r.failed} /></a> : <Count of={r.failed} />) },
            { name: 'Last success', cell: (r) => <Time of={r.last_success} age /> },
            { name: 'Compared', cell: (r) => <Compared row={r} /> },
        ]} />
    )
}

export function FreshnessPage() {
    const freshness = useQuery<Rows<FreshnessRow>>('freshness', {}, { slot: 'freshness' })
    return <><Heading>Freshness</Heading><p class="dim">How far each type is behind its source.</p><Loaded query={freshness}>{({ rows }) => <FreshnessTable rows={rows} />}</Loaded></>
}
