// The columns of the list of jobs: all of them, those that are shown, and the one that sorts a page. All of that is in the address.
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { type Filters, jobsHref, view } from './filters.tsx'
import { go } from './router.ts'
import type { JobRow } from './shapes.ts'
import { formatInterval, intervalSeconds } from './time.ts'
import { Badge, Bar, Check, Field, JobLink, Status, Time, TypeLink } from './ui.tsx'

type Key = string | number | bigint | null
export type JobColumn = { name: string; head: string; class?: string; cell: (row: JobRow) => ComponentChildren; key: (row: JobRow) => Key }

const documentOf = (row: JobRow): string => (row.documents ? `${row.documents.toLocaleString('en-US')} documents` : (row.source_document_name ?? row.target_document_name ?? row.title ?? '–'))
const State = ({ row }: { row: JobRow }) => (
    <>
        <Status of={row.status} held={row.held} />
        {row.retry_count > 0 && <span class="dim" title="Retries"> ↻{row.retry_count}</span>}
        {row.status === 'Started' && row.percent !== null && <Bar percent={row.percent} label={`Progress of job ${row.id}`} />}
    </>
)
const text = (name: keyof JobRow, head: string, kind = ''): JobColumn => ({ name, head, class: kind, cell: (row) => (row[name] as string | null) ?? '–', key: (row) => row[name] as string | null })
const time = (name: keyof JobRow, head: string): JobColumn => ({ name, head, cell: (row) => <Time of={row[name] as string | null} />, key: (row) => row[name] as string | null })

export const jobColumns: JobColumn[] = [
    { name: 'id', head: 'Job', class: 'numeric', cell: (row) => <JobLink id={row.id} />, key: (row) => BigInt(row.id) },
    { name: 'status', head: 'State', class: 'state', cell: (row) => <State row={row} />, key: (row) => row.status },
    { name: 'type', head: 'Type', class: 'type', cell: (row) => <><TypeLink name={row.sync_job_type} />{row.dry_run && <> <Badge>dry run</Badge></>}</>, key: (row) => row.sync_job_type },
    { name: 'document', head: 'Document', class: 'title', cell: (row) => <>{documentOf(row)}{row.error && <div class="error" title={row.error}>{row.error.split('\n')[0]}</div>}</>, key: documentOf },
    text('target_document_name', 'Target'),
    text('operation', 'Operation', 'minor'),
    text('queue', 'Queue'),
    text('trigger_type', 'Trigger'),
    text('run_as', 'Runs as'),
    time('created_at', 'Created'),
    time('scheduled_at', 'Scheduled'),
    time('started_at', 'Started'),
    time('ended_at', 'Ended'),
    { name: 'took', head: 'Took', class: 'numeric minor', cell: (row) => (row.time_taken ? formatInterval(row.time_taken) : '–'), key: (row) => intervalSeconds(row.time_taken) },
    { name: 'retries', head: 'Retries', class: 'numeric', cell: (row) => `${row.retry_count} of ${row.max_retries}`, key: (row) => row.retry_count },
]
const usual = ['id', 'status', 'type', 'document', 'operation', 'created_at', 'took']

const pageSizes = ['50', '100', '200']
export const pageSize = (): number => Number(pageSizes.includes(view().rows ?? '') ? view().rows : pageSizes[0])

// The id of a job, which is the link to it, is always shown.
export function shownColumns(): JobColumn[] {
    const names = view().columns?.split(',') ?? usual
    return jobColumns.filter(({ name }) => name === 'id' || names.includes(name))
}

// `took` or, in descending order, `-took`.
export function sorting(): { column: JobColumn | null; down: boolean } {
    const sort = view().sort ?? ''
    return { column: jobColumns.find(({ name }) => name === sort.replace(/^-/, '')) ?? null, down: sort.startsWith('-') }
}

// Rows without a value come last, in both directions.
export function sorted(rows: JobRow[]): JobRow[] {
    const { column, down } = sorting()
    if (!column) return rows
    const compare = (a: Key, b: Key): number => {
        if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1
        const order = typeof a === 'string' && typeof b === 'string' ? a.localeCompare(b, undefined, { numeric: true }) : a < b ? -1 : a > b ? 1 : 0
        return down ? -order : order
    }
    return [...rows].sort((a, b) => compare(column.key(a), column.key(b)))
}

// First ascending, then descending, then unsorted.
export function SortHeading({ column, filters, before }: { column: JobColumn; filters: Filters; before: string }) {
    const { column: by, down } = sorting()
    const now = by?.name === column.name ? (down ? 'descending' : 'ascending') : undefined
    const next = now === 'ascending' ? `-${column.name}` : now === 'descending' ? '' : column.name
    return (
        <th scope="col" class={column.class} aria-sort={now}>
            <a href={jobsHref(filters, { before, sort: next })} title="Sort the jobs of this page">{column.head}{now && <span aria-hidden="true"> {down ? '▼' : '▲'}</span>}</a>
        </th>
    )
}

export function ColumnChoice({ filters, before }: { filters: Filters; before: string }) {
    const shown = new Set(shownColumns().map(({ name }) => name))
    const change = (more: Record<string, string>) => go(jobsHref(filters, { before, ...more }), true)
    const choose = (name: string, on: boolean) => {
        if (on) shown.add(name)
        else shown.delete(name)
        const names = jobColumns.map((column) => column.name).filter((one) => shown.has(one)).join(',')
        change({ columns: names === usual.join(',') ? '' : names })
    }
    const [open, setOpen] = useState(false)
    return (
        <details class="columns" open={open} onToggle={(e) => setOpen(e.currentTarget.open)}>
            <summary>Columns</summary>
            {open && <Choices shown={shown} choose={choose} change={change} />}
        </details>
    )
}

type ChoicesProps = { shown: Set<string>; choose: (name: string, on: boolean) => void; change: (more: Record<string, string>) => void }
function Choices({ shown, choose, change }: ChoicesProps) {
    const { column, down } = sorting()
    return (
        <>
            <div class="row" role="group" aria-label="Columns">
                {jobColumns.filter(({ name }) => name !== 'id').map(({ name, head }) => <Check key={name} label={head} value={shown.has(name)} onChange={(on) => choose(name, on)} />)}
            </div>
            <div class="row">
                <Field label="Jobs on a page">
                    {(a) => <select {...a} value={String(pageSize())} onChange={(e) => change({ rows: e.currentTarget.value === pageSizes[0] ? '' : e.currentTarget.value })}>{pageSizes.map((size) => <option key={size}>{size}</option>)}</select>}
                </Field>
                <Field label="Sort the page by">
                    {(a) => (
                        <select {...a} value={column ? `${down ? '-' : ''}${column.name}` : ''} onChange={(e) => change({ sort: e.currentTarget.value })}>
                            <option value="">the newest first</option>
                            {jobColumns.map(({ name, head }) => <><option key={name} value={name}>{head}, up</option><option key={`-${name}`} value={`-${name}`}>{head}, down</option></>)}
                        </select>
                    )}
                </Field>
            </div>
        </>
    )
}
