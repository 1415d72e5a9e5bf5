// The list of jobs: filters, pages, a selection, and actions on some jobs or on all that match. It follows changes without moving what the user looks at: while
// the user has scrolled down or selected rows, new jobs are announced instead of pushing the others down.
import { useEffect, useRef, useState } from 'preact/hooks'
import { getJson } from '../api.ts'
import { BulkDialog, type Chosen } from '../bulk.tsx'
import { download, toCsv } from '../csv.ts'
import { FilterForm, type Filters, jobsHref, readFilters } from '../filters.tsx'
import { ColumnChoice, SortHeading, pageSize, shownColumns, sorted, sorting } from '../job-columns.tsx'
import { useQuery } from '../query.ts'
import { type Route, go } from '../router.ts'
import { may } from '../session.ts'
import type { JobList, JobRow } from '../shapes.ts'
import { Button, Count, Heading, Loaded, tell, tellError } from '../ui.tsx'

// Holds the list at the newest id shown, while the user has scrolled down or selected rows.
function useHeld(rows: JobRow[] | null, asked: string, selected: number): { rows: JobRow[]; fresh: number; release: () => void } {
    const top = useRef<{ asked: string; id: bigint | null }>({ asked: '', id: null })
    const [, draw] = useState(0)
    if (!rows) return { rows: [], fresh: 0, release: () => {} }
    const newest = rows[0] ? BigInt(rows[0].id) : null
    const hold = top.current.asked === asked && (selected > 0 || window.scrollY > 160)
    if (!hold) top.current = { asked, id: newest }
    const limit = top.current.id
    const shown = hold && limit !== null ? rows.filter((row) => BigInt(row.id) <= limit) : rows
    const release = () => {
        top.current = { asked: '', id: null }
        window.scrollTo(0, 0)
        draw((n) => n + 1)
    }
    return { rows: shown, fresh: rows.length - shown.length, release }
}

export function JobsPage({ route }: { route: Route }) {
    const filters = readFilters(route.query)
    const before = route.query.get('before') ?? ''
    const list = useQuery<JobList>('jobs', { ...filters, before, limit: pageSize() }, { slot: 'jobs' })
    const count = useQuery<{ count: number; more: boolean }>('jobs/count', filters, { slot: 'count', still: true, every: 20_000 })
    const [selected, setSelected] = useState<Map<string, JobRow>>(new Map())
    const [bulk, setBulk] = useState<Chosen | null>(null)
    useEffect(() => setSelected(new Map()), [JSON.stringify([filters, before])])
    const held = useHeld(list.data?.rows ?? null, list.asked, selected.size)
    const close = () => {
        setBulk(null)
        setSelected(new Map())
        list.refresh()
        count.refresh()
    }
    return (
        <>
            <Heading aside={count.data && <><Count of={count.data.count} more={count.data.more} /> <span class="dim">match</span></>}>Jobs</Heading>
            <FilterForm filters={filters} />
            <div class="toolbar">
                {may.actOnLists() && <Button onClick={() => setBulk({ filters })} disabled={!list.data?.rows.length}>Act on all that match …</Button>}
                <Export filters={filters} />
                <ColumnChoice filters={filters} before={before} />
                {held.fresh > 0 && <Button kind="primary" onClick={held.release}>Show {held.fresh} newer</Button>}
            </div>
            <Loaded query={list}>
                {(answer) => (
                    <>
                        <JobTable rows={sorted(held.rows)} selected={may.actOnLists() ? selected : null} onSelect={setSelected} filters={filters} before={before} />
                        {sorting().column && answer.next && <p class="note">Sorted within these {held.rows.length} jobs, the newest that match{before && ' before those of the page before'}.</p>}
                        <Searched list={answer} filters={filters} />
                    </>
                )}
            </Loaded>
            <nav class="pager" aria-label="Pages">
                {before && <a href={jobsHref(filters)}>⇤ Newest</a>}
                {list.data?.next && <a rel="next" href={jobsHref(filters, { before: list.data.next })}>Older →</a>}
            </nav>
            {selected.size > 0 && (
                <div class="selection" role="region" aria-label="Selection">
                    <span role="status">{selected.size} selected</span>
                    <Button kind="primary" onClick={() => setBulk({ ids: [...selected.keys()], rows: [...selected.values()] })}>Act on them …</Button>
                    <Button onClick={() => setBulk({ filters })}>All that match …</Button>
                    <Button kind="quiet" onClick={() => setSelected(new Map())}>Clear</Button>
                </div>
            )}
            {bulk && <BulkDialog chosen={bulk} onClose={close} />}
        </>
    )
}

function Searched({ list, filters }: { list: JobList; filters: Filters }) {
    const searched = list.searched
    if (!searched || searched.complete) return null
    return (
        <p class="note">
            {filters.error || filters.context ? `The ${filters.error ? 'text' : 'context'} was searched in the newest ${searched.jobs.toLocaleString('en-US')} jobs that the other filters leave.` : `The newest ${searched.jobs.toLocaleString('en-US')} jobs were looked through.`}{' '}
            {searched.continue && <a href={jobsHref(filters, { before: searched.continue })}>Search the older ones</a>}
        </p>
    )
}

type TableProps = { rows: JobRow[]; selected: Map<string, JobRow> | null; onSelect: (selected: Map<string, JobRow>) => void; filters: Filters; before: string }
function JobTable({ rows, selected, onSelect, filters, before }: TableProps) {
    const shown = shownColumns()
    if (rows.length === 0) return <p class="dim empty">No job matches.</p>
    const all = selected !== null && rows.every((row) => selected.has(row.id))
    const choose = (chosen: JobRow[], on: boolean) => {
        const next = new Map(selected)
        for (const row of chosen) {
            if (on) next.set(row.id, row)
            else next.delete(row.id)
        }
        onSelect(next)
    }
    return (
        <div class="scroll">
            <table class="jobs">
                <caption class="unseen">Jobs{sorting().column ? '' : ', the newest first'}</caption>
                <thead>
                    <tr>
                        {selected && <th scope="col" class="tick"><input type="checkbox" aria-label="Select the jobs of this page" checked={all} onChange={(e) => choose(rows, e.currentTarget.checked)} /></th>}
                        {shown.map((column) => <SortHeading key={column.name} column={column} filters={filters} before={before} />)}
                    </tr>
                </thead>
                <tbody>
                    {rows.map((row) => (
                        <tr key={row.id} class={selected?.has(row.id) ? 'chosen-row' : ''} data-job={row.id}>
                            {selected && <td class="tick"><input type="checkbox" aria-label={`Select job ${row.id}`} checked={selected.has(row.id)} onChange={(e) => choose([row], e.currentTarget.checked)} /></td>}
                            {shown.map((column) => <td key={column.name} data-head={column.head} class={column.class}>{column.cell(row)}</td>)}
                        </tr>
                    ))}
                </tbody>
            </table>
        </div>
    )
}

const exported = 10_000
const columns = ['id', 'sync_job_type', 'title', 'status', 'operation', 'source_document_type', 'source_document_name', 'target_document_type', 'target_document_name', 'queue', 'trigger_type',
    'created_at', 'scheduled_at', 'started_at', 'ended_at', 'time_taken', 'retry_count', 'max_retries', 'retry_after', 'run_as', 'dry_run', 'documents', 'error']

function Export({ filters }: { filters: Filters }) {
    const [found, setFound] = useState<number | null>(null)
    const stop = useRef(false)
    useEffect(() => () => void (stop.current = true), [])
    const run = async () => {
        const rows: JobRow[] = []
        let before: string | null = ''
        stop.current = false
        try {
            while (before !== null && rows.length < exported && !stop.current) {
                setFound(rows.length)
                const page: JobList = await getJson<JobList>('jobs', { ...filters, before, limit: 200 }, 'export')
                rows.push(...page.rows)
                before = page.next ?? (page.searched?.complete === false ? page.searched.continue : null)
            }
            if (stop.current) return
            download('jobs.csv', toCsv(columns, rows))
            tell(`${rows.length.toLocaleString('en-US')} jobs exported${before !== null ? ', the newest of those that match' : ''}.`)
        } catch (error) {
            tellError(error)
        } finally {
            setFound(null)
        }
    }
    if (found !== null) return <Button onClick={() => (stop.current = true)}>Stop the export ({found.toLocaleString('en-US')})</Button>
    return <Button onClick={run} title={`The newest ${exported.toLocaleString('en-US')} at most`}>CSV</Button>
}

// Keys of the list: j and k move between rows, x selects one.
export function listKey(key: string): boolean {
    const rows = [...document.querySelectorAll<HTMLTableRowElement>('table.jobs tbody tr')]
    const at = rows.findIndex((row) => row.contains(document.activeElement))
    if (key === 'j' || key === 'k') {
        const next = rows[at < 0 ? 0 : Math.max(0, Math.min(rows.length - 1, at + (key === 'j' ? 1 : -1)))]
        next?.querySelector<HTMLElement>('a')?.focus()
        return next !== undefined
    }
    if (key === 'x' && at >= 0) {
        rows[at]!.querySelector<HTMLElement>('input[type=checkbox]')?.click()
        return true
    }
    if (key === 'n') {
        const link = document.querySelector<HTMLAnchorElement>('.pager a[rel=next]')
        if (link) go(link.getAttribute('href')!)
        return link !== null
    }
    return false
}
