// The jobs that a job has led to, as a tree that opens a level at a time, and a page at a time.
import { useState } from 'preact/hooks'
import { at } from './api.ts'
import { useQuery } from './query.ts'
import type { JobRow } from './shapes.ts'
import { Badge, Button, JobLink, Loaded, Status } from './ui.tsx'

type Page = { rows: JobRow[]; next: string | null }

export function Children({ id, before = '' }: { id: string; before?: string }) {
    const page = useQuery<Page>(at('jobs', id, 'children'), { before, limit: 50 }, { slot: `children-${id}-${before}` })
    const [more, setMore] = useState(false)
    return (
        <Loaded query={page}>
            {({ rows, next }) => (
                <>
                    <ul class="tree">{rows.map((row) => <Child key={row.id} row={row} />)}</ul>
                    {next && (more ? <Children id={id} before={next} /> : <Button kind="quiet" onClick={() => setMore(true)}>More children of #{id}</Button>)}
                </>
            )}
        </Loaded>
    )
}

function Child({ row }: { row: JobRow }) {
    const [open, setOpen] = useState(false)
    const parent = row.children === undefined || row.children === null ? row.status === 'Relayed' : row.children > 0
    return (
        <li>
            {parent ? <Button kind="quiet" aria-expanded={open} aria-label={`Children of job ${row.id}`} onClick={() => setOpen(!open)}>{open ? '▾' : '▸'}</Button> : <span class="leaf" />}
            <JobLink id={row.id} /> <Status of={row.status} /> {row.relation && <Badge>{row.relation}</Badge>} <span class="title">{row.title}</span>
            {row.error && <span class="error"> {row.error.split('\n')[0]}</span>}
            {open && <Children id={row.id} />}
        </li>
    )
}
