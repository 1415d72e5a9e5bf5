// Full syncs and compares: how far each has come, and what it found and did.
import { act } from '../job-actions.tsx'
import { type Json, compact, display, get, isNull, stringify, tryParse } from '../json.ts'
import { useQuery } from '../query.ts'
import { may } from '../session.ts'
import type { RunRow } from '../shapes.ts'
import { formatInterval } from '../time.ts'
import { Badge, Bar, Button, Heading, JobLink, Loaded, Status, Table, Time, TypeLink, useAction } from '../ui.tsx'
import { Diff, JsonText } from '../values.tsx'

const counted = ['missing', 'different', 'surplus', 'ambiguous', 'out_of_step', 'inserted', 'updated', 'deleted', 'skipped', 'failed', 'handed_over', 'reverted', 'applied', 'conflicts']

// The numbers of a result that are worth a look: those that are not 0.
export function Result({ text }: { text: string | null }) {
    const value = text ? tryParse(text) : null
    const parts = counted.map((key) => [key, get(value, key)] as const).filter(([, n]) => n?.kind === 'number' && n.text !== '0')
    if (!value) return <>–</>
    return parts.length ? <>{parts.map(([key, n]) => <span key={key} class="spaced">{key.replace('_', ' ')} <b class="number">{display(n!)}</b></span>)}</> : <>in step</>
}

// The result of a job. The documents that a comparison has found out of step are a table, with what differs.
export function WholeResult({ text }: { text: string }) {
    const value = tryParse(text)
    const list = get(value, 'documents')
    if (value?.kind !== 'object' || list?.kind !== 'array') return <JsonText text={text} />
    const cell = (row: Json, key: string) => (isNull(get(row, key)) ? '–' : display(get(row, key)!))
    return (
        <>
            <JsonText text={stringify({ kind: 'object', entries: value.entries.filter(([key]) => key !== 'documents') })} />
            <Table caption="Documents that are out of step" rows={list.items.map((row, i) => ({ row, i }))} id={({ i }) => String(i)} empty="No document is out of step." columns={[
                { name: 'Source', cell: ({ row }) => cell(row, 'source_document_name') },
                { name: 'Target', cell: ({ row }) => cell(row, 'target_document_name') },
                { name: 'What', cell: ({ row }) => <>{cell(row, 'difference')} {cell(row, 'waiting') === 'true' && <Badge>a job waits</Badge>}</> },
                { name: 'Difference', cell: ({ row }) => (isNull(get(row, 'diff')) ? '–' : <Diff text={compact(get(row, 'diff')!)} />) },
            ]} />
        </>
    )
}

function RunActions({ row, refresh }: { row: RunRow; refresh: () => void }) {
    const [busy, run] = useAction()
    const now = (action: string, text: string) => run(async () => {
        await act(action, row.id, action === 'cancel' ? { running: true } : {})
        refresh()
        return text
    })
    return (
        <>
            {row.allowed?.pause && <Button busy={busy} onClick={() => now('pause', 'It pauses at its next commit.')}>Pause</Button>}
            {row.allowed?.start && <Button busy={busy} onClick={() => now('start', 'It goes on.')}>Go on</Button>}
            {row.allowed?.cancel && <Button kind="danger" busy={busy} onClick={() => now('cancel', 'Canceled. What it has committed stays.')}>Cancel</Button>}
        </>
    )
}

export function RunTable({ rows, refresh, withType = true }: { rows: RunRow[] | undefined; refresh: () => void; withType?: boolean }) {
    return (
        <Table caption="Full syncs and compares" rows={rows} id={(r) => r.id} empty="There is none." columns={[
            { name: 'Job', numeric: true, cell: (r) => <JobLink id={r.id} /> },
            { name: 'What', cell: (r) => <>{r.operation} {r.dry_run && <Badge>dry run</Badge>}</> },
            ...(withType ? [{ name: 'Type', cell: (r: RunRow) => <TypeLink name={r.sync_job_type} /> }] : []),
            { name: 'State', cell: (r) => <Status of={r.status} /> },
            { name: 'Progress', cell: (r) => (['Started', 'Queued'].includes(r.status) ? <Bar percent={r.percent} label={`Progress of job ${r.id}`} /> : '') },
            { name: 'Created', cell: (r) => <Time of={r.created_at} /> },
            { name: 'Took', numeric: true, cell: (r) => (r.time_taken ? formatInterval(r.time_taken) : '–') },
            { name: 'Result', cell: (r) => (r.error ? <span class="error">{r.error.split('\n')[0]}</span> : <Result text={r.result} />) },
            ...(may.write() ? [{ name: 'Do', cell: (r: RunRow) => <RunActions row={r} refresh={refresh} /> }] : []),
        ]} />
    )
}

export function RunsPage() {
    const runs = useQuery<{ rows: RunRow[] }>('runs', {}, { slot: 'runs' })
    return (
        <>
            <Heading>Full syncs and compares</Heading>
            <Loaded query={runs}>{({ rows }) => <RunTable rows={rows} refresh={runs.refresh} />}</Loaded>
        </>
    )
}
