// One type: its state, what is wrong with it, its definition and history, and what can be done with all of its documents.
import { useState } from 'preact/hooks'
import { at, postJson } from '../api.ts'
import { download } from '../csv.ts'
import { CompareDialog, EnqueueDialog, FullSyncDialog } from '../full-sync.tsx'
import { tryParse, display } from '../json.ts'
import { FindingText } from '../mapping-editor.tsx'
import { useQuery } from '../query.ts'
import { type Route, go, href } from '../router.ts'
import { may } from '../session.ts'
import type { Finding, RunRow, TypeAnswer } from '../shapes.ts'
import { TypeForm } from '../type-form.tsx'
import { Badge, Button, Count, FormDialog, Heading, Loaded, Table, Tabs, Time, tell, useAction } from '../ui.tsx'
import { Copy, JsonText } from '../values.tsx'
import { Compared } from './lists.tsx'
import { RunTable } from './runs.tsx'

const tabs: [string, string][] = [['', 'Now'], ['definition', 'Definition'], ['history', 'History'], ['export', 'Export']]

export function TypePage({ name, route }: { name: string; route: Route }) {
    const tab = route.path[2] ?? ''
    // While the user fills in the form, it does not change by itself.
    const type = useQuery<TypeAnswer>(at('types', name), {}, { slot: 'type', still: tab === 'form' })
    const form = tab === 'form'
    return (
        <>
            <Heading aside={type.data && !form && <State answer={type.data} />}>{form && 'Change '}{name}</Heading>
            <Loaded query={type}>{(answer) => (form ? <TypeForm type={answer.type} onClose={() => go(href(['types', name]))} /> : <TypeView answer={answer} tab={tab} refresh={type.refresh} />)}</Loaded>
        </>
    )
}

function TypeView({ answer, tab, refresh }: { answer: TypeAnswer; tab: string; refresh: () => void }) {
    const { name, description } = answer.type
    return (
        <>
            {description ? <p class="subtitle">{String(description)}</p> : null}
            <Actions answer={answer} refresh={refresh} />
            <Tabs tabs={tabs} current={tab} link={(t) => href(t ? ['types', name, t] : ['types', name])} />
            {tab === '' && <Now answer={answer} />}
            {tab === 'definition' && <Definition answer={answer} />}
            {tab === 'history' && <History answer={answer} />}
            {tab === 'export' && <Export answer={answer} />}
        </>
    )
}

const State = ({ answer }: { answer: TypeAnswer }) => (
    <span role="status">
        {answer.kind && <Badge>{answer.kind}</Badge>} {answer.type.paused ? <Badge kind="warn">paused</Badge> : null} {answer.type.disabled ? <Badge kind="warn">disabled</Badge> : null}
    </span>
)

type Open = '' | 'full' | 'compare' | 'enqueue' | 'delete'

function Actions({ answer, refresh }: { answer: TypeAnswer; refresh: () => void }) {
    const { name, paused } = answer.type
    const allowed = answer.allowed ?? {}
    const [dialog, setDialog] = useState<Open>('')
    const [busy, run] = useAction()
    if (!may.write()) return null
    const toggle = () => run(async () => {
        await postJson(at('types', name, paused ? 'resume' : 'pause'))
        refresh()
        return paused ? 'Its jobs begin again.' : 'Paused: its jobs wait.'
    })
    const close = () => {
        setDialog('')
        refresh()
    }
    return (
        <div class="tools actions">
            {(allowed.enqueue || allowed.dry_run) && <Button onClick={() => setDialog('enqueue')}>{allowed.enqueue ? 'Enqueue …' : 'Dry run …'}</Button>}
            {allowed.compare && <Button onClick={() => setDialog('compare')}>Compare …</Button>}
            {allowed.full_sync && <Button onClick={() => setDialog('full')}>Full sync …</Button>}
            {allowed.pause && <Button busy={busy} onClick={toggle}>{paused ? 'Resume' : 'Pause'}</Button>}
            {allowed.change && <a class="button" href={href(['types', name, 'form'])}>Change …</a>}
            {allowed.delete && <Button kind="danger" onClick={() => setDialog('delete')}>Delete …</Button>}
            {dialog === 'full' && <FullSyncDialog name={name} condition={allowed.condition ?? false} onClose={close} />}
            {dialog === 'compare' && <CompareDialog name={name} condition={allowed.condition ?? false} onClose={close} />}
            {dialog === 'enqueue' && <EnqueueDialog name={name} dryOnly={!allowed.enqueue} onClose={close} />}
            {dialog === 'delete' && (
                <FormDialog title={`Delete ${name}`} button="Delete the type" kind="danger" onClose={close} work={async () => (await postJson(at('types', name, 'delete')), tell('Deleted.'), go(href(['types'])))}>
                    <p>Its definition and its grants are gone for good. Jobs that have ended stay.</p>
                </FormDialog>
            )}
        </div>
    )
}

function Now({ answer }: { answer: TypeAnswer }) {
    const { freshness: f, queue, type } = answer
    const jobs = (status: string, count: number | null | undefined) => <a href={href(['jobs'], { type: type.name, status })}><Count of={count} /></a>
    return (
        <>
            {!!answer.setup_errors?.length && (
                <section class="card">
                    <h2>Its set-up is broken</h2>
                    {answer.setup_errors.map((e) => (
                        <div key={e.message} class="problem"><strong>{e.message}</strong>{e.detail && <p>{e.detail}</p>}{e.hint && <p>{e.hint}</p>}<p class="dim">since <Time of={e.since} />{e.held_since && <>; jobs are held since <Time of={e.held_since} /></>}, SQLSTATE {e.sqlstate}</p></div>
                    ))}
                </section>
            )}
            <Findings key={String(answer.type.modified_at)} type={answer.type} />
            <div class="columns">
                <section class="card" aria-label="Jobs">
                    <dl class="facts">
                        <dt>Waiting</dt><dd>{jobs('Queued', f?.waiting)}</dd>
                        <dt>Running</dt><dd>{jobs('Started', f?.running)}</dd>
                        <dt>To be retried</dt><dd>{jobs('Failed', f?.retrying)}</dd>
                        <dt>Failed</dt><dd>{jobs('Failed', f?.failed)}</dd>
                        <dt>Last success</dt><dd><Time of={f?.last_success} age /></dd>
                        <dt>Oldest change not in step</dt><dd><Time of={f?.oldest_change} age /></dd>
                        <dt>Last comparison</dt><dd><Compared row={f} /></dd>
                    </dl>
                </section>
                <section class="card" aria-label="Set-up">
                    <dl class="facts">
                        <dt>From</dt><dd>{String(type.source_document_type ?? '–')}</dd>
                        <dt>To</dt><dd>{String(type.target_document_type ?? '–')}</dd>
                        <dt>Queue</dt><dd><a href={href(['queues'])}>{String(type.queue)}</a>{queue?.note && <span class="error"> {queue.note}</span>}</dd>
                        <dt>Runs as</dt><dd>{String(type.run_as)}</dd>
                        <dt>Triggers</dt><dd>{answer.triggers?.length ? answer.triggers.join(', ') : 'none: only what is enqueued by hand is synced'}</dd>
                        {!!answer.grants?.length && <><dt>Granted to</dt><dd>{answer.grants.join(', ')}</dd></>}
                    </dl>
                </section>
            </div>
            <Runs type={type.name} />
            <p><a href={href(['jobs'], { type: type.name })}>All jobs of the type</a></p>
        </>
    )
}

function Runs({ type }: { type: string }) {
    const runs = useQuery<{ rows: RunRow[] }>('runs', { type, limit: 10 }, { slot: 'runs' })
    return <section class="card"><h2>Full syncs and compares</h2><Loaded query={runs}>{({ rows }) => <RunTable rows={rows} refresh={runs.refresh} withType={false} />}</Loaded></section>
}

// Validation may read the whole target: it runs once, and again when the type has changed.
function Findings({ type }: { type: TypeAnswer['type'] }) {
    const query = useQuery<{ findings: Finding[] | null }>(at('types', type.name, 'findings'), {}, { slot: 'findings', still: true })
    return (
        <section class="card" aria-label="Validation">
            <Loaded query={query}>
                {({ findings }) => (findings?.length ? <><h2>What validation finds</h2>{findings.map((x, i) => <div key={i}><FindingText finding={x} />{x.field && <span class="dim">in {x.field}</span>}</div>)}</> : <p class="good">✓ Validation finds nothing wrong.</p>)}
            </Loaded>
        </section>
    )
}

function Definition({ answer }: { answer: TypeAnswer }) {
    return (
        <section class="card">
            <dl class="facts">
                {Object.entries(answer.type).filter(([, value]) => value !== null && value !== '').map(([name, value]) => (
                    <><dt key={name}>{name}</dt><dd>{['match', 'field_map'].includes(name) ? <JsonText text={String(value)} /> : name.endsWith('_at') ? <Time of={String(value)} /> : Array.isArray(value) ? value.join(', ') : String(value)}</dd></>
                ))}
            </dl>
        </section>
    )
}

function History({ answer }: { answer: TypeAnswer }) {
    return (
        <Table caption="Changes of the type" rows={answer.changes} id={(c) => [c.changed_at, c.operation, c.old, c.new].join(' ')} empty="No change is recorded." columns={[
            { name: 'When', cell: (c) => <Time of={c.changed_at} /> },
            { name: 'Who', cell: (c) => c.changed_by },
            { name: 'What', cell: (c) => c.operation },
            { name: 'Change', cell: (c) => <Change before={c.old} after={c.new} /> },
        ]} />
    )
}

function Change({ before, after }: { before: string | null; after: string | null }) {
    const [a, b] = [before ? tryParse(before) : null, after ? tryParse(after) : null]
    const keys = [...new Set([a, b].flatMap((v) => (v?.kind === 'object' ? v.entries.map(([key]) => key) : [])))]
    const value = (v: typeof a, key: string) => {
        const found = v?.kind === 'object' ? v.entries.find(([name]) => name === key)?.[1] : undefined
        return found ? display(found) : null
    }
    return (
        <ul class="plain">
            {keys.map((key) => {
                const [x, y] = [value(a, key), value(b, key)]
                return <li key={key}><b>{key}</b>: {x !== null && <del>{x}</del>}{x !== null && y !== null && ' → '}{y !== null && <ins>{y}</ins>}</li>
            })}
        </ul>
    )
}

function Export({ answer }: { answer: TypeAnswer }) {
    const text = answer.export
    if (!text) return <p class="dim">You may not export this type.</p>
    return (
        <section class="card">
            <p>A script for psql that makes the type again, here or in another database.</p>
            <pre class="code" tabIndex={0}>{text}</pre>
            <div class="tools"><Copy text={text} /><Button onClick={() => download(`${answer.type.name}.sql`, text, 'application/sql')}>Download</Button></div>
        </section>
    )
}
