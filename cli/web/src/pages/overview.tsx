// The first page: whether everything runs, whether anything is wrong, and whether it keeps up.
import { Throughput } from '../chart.tsx'
import { useQuery } from '../query.ts'
import { href } from '../router.ts'
import type { Overview } from '../shapes.ts'
import { Count, Heading, Loaded, Status, TypeLink } from '../ui.tsx'
import { AlertTable, FreshnessTable, QueueTable } from './lists.tsx'

export function OverviewPage() {
    const overview = useQuery<Overview>('overview', {}, { slot: 'overview' })
    const workers = overview.data?.workers
    return (
        <>
            <Heading aside={workers && <span><b class="number">{workers.running}</b> of <b class="number">{workers.total}</b> workers run a job</span>}>Overview</Heading>
            <Loaded query={overview}>{(o) => <Answer o={o} />}</Loaded>
        </>
    )
}

function Answer({ o }: { o: Overview }) {
    const well = !o.notes?.length && !o.types?.length && !o.alerts?.length
    return (
        <>
            {!!o.notes?.length && <section class="problem" role="status"><strong>Why jobs wait</strong><ul>{o.notes.map((note) => <li key={note}>{note}</li>)}</ul></section>}
            <ul class="tiles" aria-label="Jobs by state">
                {o.counts.map((c) => (
                    <li key={c.status}><a class={`tile ${c.count ? '' : 'zero'}`} href={href(['jobs'], { status: c.status })}><Status of={c.status} /><Count of={c.count} more={c.more} /></a></li>
                ))}
            </ul>
            <div class="columns">
                <section class="card">
                    <h2>Throughput</h2>
                    <Throughput rows={o.throughput ?? []} />
                </section>
                <section class="card">
                    <h2>Trouble</h2>
                    {well ? <p class="good">✓ None that you can see.</p> : null}
                    {!!o.types?.length && <ul class="plain">{o.types.map((t) => <li key={t.name}><TypeLink name={t.name} /><ul>{(t.problems ?? []).map((p) => <li key={p} class="error">{p}</li>)}</ul></li>)}</ul>}
                    {!!o.alerts?.length && <AlertTable rows={o.alerts} />}
                    <p><a href={href(['jobs'], { status: 'Failed' })}>Failed jobs</a></p>
                </section>
            </div>
            <section class="card"><h2>Queues</h2><QueueTable rows={o.queues ?? []} /></section>
            <section class="card"><h2>Least fresh</h2><FreshnessTable rows={o.freshness ?? []} /><p><a href={href(['freshness'])}>All types</a></p></section>
        </>
    )
}
