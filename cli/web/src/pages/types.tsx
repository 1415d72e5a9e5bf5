// The types with their states; those in trouble are marked.
import { useState } from 'preact/hooks'
import { useQuery } from '../query.ts'
import { type Route, go, href } from '../router.ts'
import { may } from '../session.ts'
import type { TypeRow } from '../shapes.ts'
import { TypeForm } from '../type-form.tsx'
import { Badge, Bar, Count, Heading, JobLink, Loaded, Table, Time, TypeLink } from '../ui.tsx'

export function TypesPage({ route }: { route: Route }) {
    const types = useQuery<{ rows: TypeRow[] }>('types', {}, { slot: 'types' })
    const like = route.query.get('like') ?? ''
    const trouble = route.query.get('trouble') === '1'
    const [text, setText] = useState(like)
    const show = (next: { like?: string; trouble?: string }) => go(href(['types'], { like, trouble: trouble ? '1' : '', ...next }), true)
    const matching = (rows: TypeRow[]) => rows.filter((row) => row.name.toLowerCase().includes(like.toLowerCase()) && (!trouble || troubles(row).length > 0))
    return (
        <>
            <Heading aside={may.manage() && <a class="button primary" href={href(['new-type'])}>New type</a>}>Types</Heading>
            <form class="toolbar" role="search" aria-label="Types" onSubmit={(e) => e.preventDefault()}>
                <label>Name <input value={text} onInput={(e) => (setText(e.currentTarget.value), show({ like: e.currentTarget.value }))} spellcheck={false} /></label>
                <label class="check"><input type="checkbox" checked={trouble} onChange={(e) => show({ trouble: e.currentTarget.checked ? '1' : '' })} /> Only those in trouble</label>
            </form>
            <Loaded query={types}>{({ rows }) => <TypeTable rows={matching(rows)} />}</Loaded>
        </>
    )
}

function TypeTable({ rows }: { rows: TypeRow[] }) {
    return (
        <Table caption="Types" rows={rows} id={(r) => r.name} empty="No type matches." columns={[
            { name: 'Type', cell: (r) => <><TypeLink name={r.name} /> {r.kind && <Badge>{r.kind}</Badge>}</> },
            { name: 'Trouble', class: 'error', cell: (r) => troubles(r).map((t) => <div key={t}>{t}</div>) },
            { name: 'From', cell: (r) => r.source_document_type ?? '–' },
            { name: 'To', cell: (r) => r.target_document_type ?? '–' },
            { name: 'Waiting', numeric: true, cell: (r) => <Count of={r.waiting} /> },
            { name: 'Running', numeric: true, cell: (r) => <Count of={r.running} /> },
            { name: 'Failed', numeric: true, cell: (r) => (r.failed ? <a href={href(['jobs'], { type: r.name, status: 'Failed' })}><Count of={r.failed} /></a> : <Count of={r.failed} />) },
            { name: 'Oldest change', cell: (r) => <Time of={r.oldest_change} age /> },
            { name: 'Last success', cell: (r) => <Time of={r.last_success} age /> },
            { name: 'Run', cell: (r) => (r.run ? <><JobLink id={r.run.id}>{r.run.operation}</JobLink> <Bar percent={r.run.percent} label={`${r.run.operation} of ${r.name}`} /></> : '') },
        ]} />
    )
}

export function troubles(row: TypeRow): string[] {
    return [row.setup_error, row.held && 'jobs are held', row.paused && 'paused', row.disabled && 'disabled'].filter(Boolean) as string[]
}

export function NewTypePage() {
    return (
        <>
            <Heading>New type</Heading>
            {may.manage() ? <TypeForm type={null} onClose={() => go(href(['types']))} /> : <p>To make types, one needs the level manager.</p>}
        </>
    )
}
